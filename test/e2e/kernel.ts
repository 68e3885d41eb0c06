import assert from 'node:assert/strict';
import type { DirectorVm } from '../lab/vm/director-vm.ts';
import { eventually, type Patience } from './eventually.ts';
import { lab } from './world.ts';

/** A virtual server as ipvsadm in the director's VM lists it. */
export interface KernelEntry {
  readonly scheduler: string;
  /** Scheduler flags, sorted. */
  readonly flags: readonly string[];
  readonly persistenceSeconds: number | undefined;
  /** Those that take new connections, as `address:port DirectRouting|Masquerading weight`, sorted. */
  readonly realServers: readonly string[];
  /** Those at weight 0, which only keep the connections they have, as `address:port`, sorted. */
  readonly draining: readonly string[];
}

/** The director's whole table by `TCP 203.0.113.10:80`, read with ipvsadm: the witness is never the product's own tool. */
export async function tableOf(director: DirectorVm): Promise<Map<string, KernelEntry>> {
  const entries = await director.virtualServers();
  return new Map(
    entries.map((entry) => [
      entry.key,
      {
        scheduler: entry.scheduler,
        flags: [...entry.schedulerFlags].sort(),
        persistenceSeconds: entry.persistenceSeconds,
        realServers: entry.realServers
          .filter(({ weight }) => weight > 0)
          .map((real) => `${real.address} ${real.forwardingMethod} ${real.weight}`)
          .sort(),
        draining: entry.realServers
          .filter(({ weight }) => weight === 0)
          .map(({ address }) => address)
          .sort(),
      },
    ]),
  );
}

/** `ipvsadm -Ln`, as a person sees it. */
export async function ipvsadmOf(director: DirectorVm): Promise<string> {
  return director.read('ipvsadm -Ln');
}

/** Addresses of the interface that carries the VIPs, without prefix length. */
export async function vipsOn(director: DirectorVm): Promise<readonly string[]> {
  return (await director.addresses('lo')).map((address) => address.split('/')[0] ?? '');
}

/**
 * Waits until the kernels of the directors hold the virtual server as expected (only the fields that are given are looked at),
 * or do not hold it. Default: both directors.
 */
export async function untilOnDirectors(
  key: string,
  expected: Partial<KernelEntry> | 'absent',
  directors: readonly DirectorVm[] = lab().directors,
  options?: Patience,
): Promise<void> {
  for (const director of directors) {
    const what = expected === 'absent' ? `${director.name} to hold no ${key}` : `${key} on ${director.name}`;
    await eventually(what, async () => expectEntry((await tableOf(director)).get(key), expected), options);
  }
}

function expectEntry(entry: KernelEntry | undefined, expected: Partial<KernelEntry> | 'absent'): true {
  if (expected === 'absent') {
    assert.equal(entry, undefined);
    return true;
  }
  assert.ok(entry, 'no such virtual server');
  for (const [field, value] of Object.entries(expected)) {
    const seen: unknown = entry[field as keyof KernelEntry];
    assert.deepEqual(
      seen,
      Array.isArray(value) ? value.map(String).toSorted() : value,
      `${field} is ${JSON.stringify(seen)}`,
    );
  }
  return true;
}

/** Kernel messages that changed something, counted by the helper since the director's boot. */
export async function totalWritesOf(director: DirectorVm): Promise<number> {
  const dump = await director.read('/usr/lib/ipvs-operator/ipvs-helper dump --json --owner prod');
  const { totalWrites } = JSON.parse(dump);
  assert.equal(typeof totalWrites, 'number', `totalWrites in ${dump.slice(0, 200)}`);
  return totalWrites;
}
