import assert from 'node:assert/strict';
import type { DirectorVm } from '../lab/vm/director-vm.ts';
import type { ClientName } from './answers.ts';
import { type KernelEntry, tableOf } from './kernel.ts';
import { lab, world } from './world.ts';

/**
 * Runs the body while a client (by way of both directors, unless told otherwise) asks an unrelated Service again and again; every
 * single request must succeed, and its virtual server must end as it began on both directors.
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
    assert.deepEqual(await entryOf(director, key), before[index], `the unrelated ${key} on ${director.name}`);
  }
}

/** What takes new connections; what drains goes by itself. */
async function entryOf(director: DirectorVm, key: string): Promise<Omit<KernelEntry, 'draining'>> {
  const entry = (await tableOf(director)).get(key);
  assert.ok(entry, `${key} on ${director.name}`);
  const { draining: _, ...serving } = entry;
  return serving;
}
