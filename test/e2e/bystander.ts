import assert from 'node:assert/strict';
import type { ClientName } from './answers.ts';
import { tableOf } from './kernel.ts';
import { lab, world } from './world.ts';

/**
 * Runs the body while a client (by way of both directors, unless told otherwise) asks an unrelated Service again and again; every
 * single request must succeed, and its virtual server must end as it began on both directors.
 */
export async function undisturbed(body: () => Promise<void>, client: ClientName = 'client'): Promise<void> {
  const { address } = world().bystander;
  const key = `TCP ${address}:80`;
  const before = await Promise.all(lab().directors.map(async (director) => (await tableOf(director)).get(key)));
  const loop = await lab().client(client).loop(`http://${address}/hostname`);
  let failed: unknown;
  try {
    await body();
  } catch (cause) {
    failed = cause;
  }
  const asked = loop.soFar().requests;
  if (failed === undefined && asked < 10) await loop.reaches(10 - asked);
  const { requests, failures } = await loop.stop();
  if (failed !== undefined) throw failed;
  assert.deepEqual(failures, [], `requests of ${requests} to the unrelated Service failed`);
  for (const [index, director] of lab().directors.entries()) {
    assert.deepEqual((await tableOf(director)).get(key), before[index], `the unrelated ${key} on ${director.name}`);
  }
}
