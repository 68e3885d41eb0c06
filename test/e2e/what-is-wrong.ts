import { ipvsadmOf } from './kernel.ts';
import { cluster, lab, operator } from './world.ts';

/** Everything a person would look at first after a failed test; whatever cannot be read is named instead. */
export async function whatIsWrong(): Promise<string> {
  const looks: readonly (readonly [string, () => Promise<string>])[] = [
    ['kubectl get', () => cluster().kubectl('get', 'lbpool,dir,nodes', '-o', 'wide')],
    ['Services', () => cluster().kubectl('get', 'services', '-A', '-o', 'wide')],
    ['pods', () => cluster().kubectl('get', 'pods', '-A', '-o', 'wide')],
    ['pools', () => cluster().kubectl('describe', 'lbpool')],
    ['directors', () => cluster().kubectl('describe', 'dir')],
    ['latest events', () => latestEvents()],
    ...lab().directors.map((director) => [`ipvsadm on ${director.name}`, () => ipvsadmOf(director)] as const),
    ['end of the operator log', async () => operator().log().split('\n').slice(-60).join('\n')],
  ];
  const parts: string[] = [];
  for (const [title, look] of looks) {
    const text = await look().catch((cause: unknown) => `(not readable: ${String(cause)})`);
    parts.push(`---- ${title}\n${text.trimEnd()}`);
  }
  return parts.join('\n');
}

async function latestEvents(): Promise<string> {
  const events = await cluster().kubectl('get', 'events', '-A', '--sort-by=.lastTimestamp');
  return events.trimEnd().split('\n').slice(-25).join('\n');
}
