import assert from 'node:assert/strict';
import { tableOf } from './kernel.ts';
import { lab, world } from './world.ts';

/**
 * Runs the body while a client asks an unrelated Service again and again by way of both directors; every single request must
 * succeed, and its virtual server must end as it began.
 */
export async function undisturbed(body: () => Promise<void>): Promise<void> {
  const { address } = world().bystander;
  const key = `TCP ${address}:80`;
  const before = await Promise.all(lab().directors.map(async (director) => (await tableOf(director)).get(key)));
  const loop = await lab().client('client').loop(`http://${address}/hostname`);
  let failed: unknown;
  try {
    await body();
  } catch (cause) {
    failed = cause;
  }
  const { requests, failures } = await loop.stop();
  if (failed !== undefined) throw failed;
  assert.deepEqual(failures, [], `requests of ${requests} to the unrelated Service failed`);
  assert.ok(requests >= 10, `the loop made only ${requests} requests`);
  for (const [index, director] of lab().directors.entries()) {
    assert.deepEqual((await tableOf(director)).get(key), before[index], `the unrelated ${key} on ${director.name}`);
  }
}
