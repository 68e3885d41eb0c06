import assert from 'node:assert/strict';
import { World } from '../builders/a-world.ts';
import { checkExpectation, directorWrites, type Since } from './check-expectation.ts';
import type { GoldenCase, Step } from './golden-case.ts';
import { type Manifest, StoredManifests } from './stored-manifests.ts';

const DEFAULT_POOLS = { web: { spec: { addresses: ['203.0.113.10-203.0.113.13'], directors: { selector: {} } } } };
/** Enough for the pace at which pool and director statuses are written. */
const DEFAULT_WAIT_SECONDS = 15;

/**
 * Plays one case: the whole operator on fakes that refuse what the real ones refuse, step by step. Beside what a step expects, an address
 * that a Service has stays unless the step says otherwise, and no two Services have one (address, protocol, port).
 */
export async function playCase(golden: GoldenCase): Promise<void> {
  const world = new World({ pools: [] });
  const manifests = new StoredManifests(world, {
    claimUnclassed: golden.claimUnclassed ?? false,
    aliases: golden.aliases ?? [],
  });
  manifests.apply('Namespace shop', { labels: { 'kubernetes.io/metadata.name': 'shop' } });
  for (const [name, number] of Object.entries({ 'node-1': 21, 'node-2': 22 }))
    manifests.apply(`Node ${name}`, aNodeAt(number));
  for (const [name, pool] of Object.entries(golden.pools ?? DEFAULT_POOLS)) {
    manifests.apply(`LoadBalancerPool ${name}`, pool);
  }
  world.start();
  await world.run();
  try {
    for (const step of golden.steps) await playStep(world, manifests, step);
  } finally {
    if (world.running) await world.stop();
  }
}

function aNodeAt(number: number): Manifest {
  const addresses = [`192.0.2.${number}`, `2001:db8:2::${number}`].map((address) => ({ type: 'InternalIP', address }));
  return { status: { addresses, conditions: [{ type: 'Ready', status: 'True' }] } };
}

async function playStep(world: World, manifests: StoredManifests, step: Step): Promise<void> {
  const since = beginning(world);
  if (step.operator === 'crashes') world.crash();
  if (step.operator === 'restarts' || step.operator === 'stops') await world.stop();
  for (const [name, reason] of Object.entries(step.directorsFail ?? {})) {
    if (reason === null) world.host(name).recover();
    else world.host(name).fail(reason);
  }
  if (step.writesFail !== undefined) failWrites(world, step.writesFail);
  for (const pool of step.retire ?? []) world.api.deletePool(pool);
  for (const object of step.delete ?? []) manifests.delete(object);
  for (const [object, manifest] of Object.entries(step.apply ?? {})) manifests.apply(object, manifest);
  if (step.operator !== undefined && step.operator !== 'stops') world.start();
  await world.run((step.after ?? DEFAULT_WAIT_SECONDS) * 1_000);
  try {
    checkExpectation(world, step.expect, since);
  } catch (cause) {
    throw new assert.AssertionError({
      message: `when ${step.when}: ${(cause as Error).message}`,
      ...(cause instanceof assert.AssertionError && { actual: cause.actual, expected: cause.expected }),
    });
  }
}

function failWrites(world: World, { verb, fault, times }: NonNullable<Step['writesFail']>): void {
  let left = times;
  world.writer.fault = (write) => {
    if (write.verb !== verb || left === 0) return undefined;
    left -= 1;
    return fault;
  };
}

function beginning(world: World): Since {
  return {
    writes: world.writer.writes.length,
    events: world.events.recorded.length,
    directorWrites: directorWrites(world),
    published: new Map(
      [...world.api.services].map(([key, { uid, ingress }]) => [key, { uid, ips: ingress.map(({ ip }) => ip) }]),
    ),
  };
}
