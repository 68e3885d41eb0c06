import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');

/** Where reasons of conditions and events are spelled. */
const SOURCES = [
  'operator/core/address-decision.ts',
  'operator/core/service-status.ts',
  'operator/core/pool-status.ts',
  'operator/core/director-status.ts',
  'operator/core/host-condition.ts',
  'operator/controllers/service-events.ts',
  'operator/controllers/ports.ts',
  'operator/controllers/lane-report.ts',
];

/** Every reason is spelled somewhere in these. */
const LAYERS = ['operator/model', 'operator/core', 'operator/controllers'];
const filesIn = (folder: string) =>
  readdirSync(new URL(`../../../${folder}`, import.meta.url)).map((name) => `${folder}/${name}`);

/** Words of the same shape that are no reasons: statuses, kinds, families, phases. */
const OTHERS = new Set([
  ...['True', 'False', 'Unknown', 'Normal', 'Warning', 'Service', 'LoadBalancerPool', 'Director', 'IPv4', 'IPv6'],
  ...['AddressesAvailable', 'Connected', 'Compatible', 'InSync', 'Active', 'Failed', 'Idle', 'Disconnected'],
  ...['Dialing', 'Syncing', 'Unfit', 'Refused', 'IPVS', 'VIP', 'Proxy'],
]);

describe('docs/conditions.md', () => {
  const documented = read('docs/conditions.md');
  for (const source of SOURCES) {
    it(`explains every reason in ${source}`, () => {
      const words = [...read(source).matchAll(/'([A-Z][A-Za-z]+)'/g)].map(([, word]) => word as string);
      const missing = [...new Set(words)].filter(
        (word) => !OTHERS.has(word) && !new RegExp(`\\b${word}\\b`).test(documented),
      );
      assert.deepEqual(missing, []);
    });
  }

  const spelled = LAYERS.flatMap(filesIn).map(read).join(' ');
  for (const { heading, reasons } of tablesOf(documented)) {
    it(`has no reason under “${heading}” that the code does not know`, () => {
      assert.ok(reasons.length > 0);
      const unknown = reasons.filter((reason) => !new RegExp(`['\`]${reason}['\`]|^ +${reason}:`, 'm').test(spelled));
      assert.deepEqual(unknown, []);
    });
  }
});

interface Table {
  readonly heading: string;
  readonly rows: readonly (readonly string[])[];
  /** What its column `reason` names. */
  readonly reasons: readonly string[];
}

/** Every table of a Markdown page that has a column `reason`. */
function tablesOf(page: string): Table[] {
  return page.split(/^#+ /m).flatMap((section): Table[] => {
    const cells = (line: string) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim());
    const [head = [], , ...rows] = section
      .split('\n')
      .filter((line) => line.startsWith('|'))
      .map(cells);
    const column = head.indexOf('reason');
    if (column < 0) return [];
    const reasons = rows
      .flatMap((row) => (row[column] ?? '').split(', '))
      .filter((reason) => /^[A-Z][A-Za-z]+$/.test(reason));
    return [{ heading: section.split('\n')[0] ?? '', rows, reasons }];
  });
}
