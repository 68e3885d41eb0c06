import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');

/** Where reasons of conditions and events are spelled. */
const SOURCES = [
  'operator/core/address-decision.ts',
  'operator/core/service-status.ts',
  'operator/core/pool-status.ts',
  'operator/core/director-status.ts',
  'operator/controllers/service-events.ts',
  'operator/controllers/ports.ts',
  'operator/controllers/lane-report.ts',
];

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
});
