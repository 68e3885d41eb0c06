import assert from 'node:assert/strict';
import type { DirectorVm } from '../lab/vm/director-vm.ts';
import type { ClientName } from './answers.ts';
import { eventually } from './eventually.ts';
import { type KernelEntry, tableOf, untilOnDirectors } from './kernel.ts';
import { directRouting, type LabNode } from './nodes.ts';
import { lab, world } from './world.ts';

/**
 * Runs the body while a client (by way of both directors, unless told otherwise) asks an unrelated Service again and again; every
 * single request must succeed, and its virtual server must end as it began on both directors: a node that comes or goes in between may
 * be in a later request to a director than what the body has waited for.
 */
export async function undisturbed(body: () => Promise<void>, client: ClientName = 'client'): Promise<void> {
  const { address } = world().bystander;
  const key = `TCP ${address}:80`;
  const before = await Promise.all(lab().directors.map((director) => entryOf(director, key)));
  const loop = await lab().client(client).loop(`http://${address}/hostname`);
  let failed: unknown;
  try {
    await body();
  } catch (cause) {
    failed = cause;
  }
  const asked = loop.soFar().requests;
  if (failed === undefined && asked < 10) await loop.reaches(10 - asked);
  const { requests, failures, slowestMs } = await loop.stop();
  if (failed !== undefined) throw failed;
  assert.deepEqual(
    failures,
    [],
    `${failures.length} of ${requests} requests to the unrelated Service failed; the slowest took ${slowestMs} ms`,
  );
  for (const [index, director] of lab().directors.entries()) {
    await eventually(`the unrelated ${key} on ${director.name} to be as before`, async () => {
      assert.deepEqual(await entryOf(director, key), before[index]);
      return true;
    });
  }
}

/** Waits until both directors send the clients of the unrelated Service to exactly these nodes. */
export async function bystanderUses(nodes: readonly LabNode[]): Promise<void> {
  await untilOnDirectors(`TCP ${world().bystander.address}:80`, { realServers: directRouting(nodes) });
}

/** What takes new connections; what drains goes by itself. */
async function entryOf(director: DirectorVm, key: string): Promise<Omit<KernelEntry, 'draining'>> {
  const entry = (await tableOf(director)).get(key);
  assert.ok(entry, `${key} on ${director.name}`);
  const { draining: _, ...serving } = entry;
  return serving;
}
