import assert from 'node:assert/strict';
import { answeringPods, answersOver, authority, type ClientName } from '../answers.ts';
import { eventually } from '../eventually.ts';
import { untilOnDirectors } from '../kernel.ts';
import { lab } from '../world.ts';
import type { Stage } from './stage.ts';

type Policy = 'Cluster' | 'Local';

/** E04, E06: fifteen answers to one client from one pod, whichever director each of its connections goes by. */
export async function keepsAffinity(stage: Stage, externalTrafficPolicy: Policy): Promise<void> {
  const name = `affinity-${externalTrafficPolicy.toLowerCase()}`;
  const addresses = await stage.serve(name, { spec: { externalTrafficPolicy, sessionAffinity: 'ClientIP' } });
  for (const address of addresses) {
    await untilOnDirectors(`TCP ${authority(address, 80)}`, { persistenceSeconds: 10_800 });
    await onePodFor(clientOf(stage), address);
    if (clientOf(stage) === 'client') await bothDirectorsServed(address);
  }
  await stage.remove(name);
}

/** E05, E07: None → ClientIP → None → ClientIP, in place. */
export async function switchesAffinity(stage: Stage, externalTrafficPolicy: Policy): Promise<void> {
  const name = `switch-${externalTrafficPolicy.toLowerCase()}`;
  const addresses = await stage.serve(name, { spec: { externalTrafficPolicy } });
  await stage.untilProgrammed(name);
  await stage.untilAnswered(addresses, 'TCP');
  for (const sessionAffinity of ['ClientIP', 'None', 'ClientIP'] as const) {
    await stage.patch(name, {
      sessionAffinity,
      ...(sessionAffinity === 'None' ? { sessionAffinityConfig: null } : {}),
    });
    const persistenceSeconds = sessionAffinity === 'None' ? undefined : 10_800;
    for (const address of addresses) {
      await untilOnDirectors(`TCP ${authority(address, 80)}`, { persistenceSeconds });
      if (sessionAffinity === 'None') await stage.untilAnswered([address], 'TCP');
      else await onePodFor(clientOf(stage), address);
    }
  }
  assert.deepEqual(await stage.addresses(name), addresses);
  await stage.remove(name);
}

/**
 * Behind node ports with snat, kube-proxy sees a director where the client is, so that under policy Cluster a client has a pod for each
 * director that it comes by.
 */
function clientOf({ variant, hidesClients }: Stage): ClientName {
  return hidesClients && variant.backends === 'Nodes' ? 'client-director-1' : 'client';
}

async function onePodFor(client: ClientName, address: string): Promise<void> {
  await answeringPods('TCP', client, authority(address, 80), 1);
  const pods = await answersOver(client, authority(address, 80), 15);
  assert.equal(pods.size, 1, `15 answers came from ${[...pods].join(', ')}`);
}

/** The router spreads the client's connections by source port: each director has seen some of them. */
async function bothDirectorsServed(address: string): Promise<void> {
  for (const director of lab().directors) {
    // The kernel adds its counters up every two seconds.
    await eventually(`${director.name} to have counted connections`, async () => {
      const listing = await director.read(`ipvsadm -Ln --stats -t ${authority(address, 80)}`);
      const connections = Number(/^TCP +\S+ +(\d+)/m.exec(listing)?.[1]);
      assert.ok(connections > 0, listing);
      return true;
    });
  }
}
