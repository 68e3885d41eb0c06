import { Lab } from '../lab/lab.ts';
import { Cluster } from './cluster.ts';
import { eventually } from './eventually.ts';
import { install } from './installation.ts';
import { deployment, service } from './manifests.ts';
import { RunningOperator } from './running-operator.ts';

/** The one lab of a test run, with the product installed and a Service that no test touches. */
export interface World {
  readonly lab: Lab;
  readonly cluster: Cluster;
  readonly operator: RunningOperator;
  /** The unrelated Service: whatever a test does, its clients must not notice. */
  readonly bystander: { readonly namespace: string; readonly name: string; readonly address: string };
}

let current: World | undefined;

/** Installs everything once; later calls give back the same world. */
export async function openWorld(): Promise<World> {
  if (current !== undefined) return current;
  const lab = await Lab.attach();
  const cluster = new Cluster(lab);
  const operator = new RunningOperator(lab);
  try {
    await install(lab, cluster);
    await operator.start();
    for (const { name } of lab.directors) await untilReady(cluster, 'director', name);
    await untilReady(cluster, 'lbpool', 'public');
    const bystander = await deployBystander(cluster, lab);
    current = { lab, cluster, operator, bystander };
    return current;
  } catch (failure) {
    // What still runs would keep the test process from ending.
    await operator.stop('SIGTERM');
    lab.close();
    throw failure;
  }
}

export async function closeWorld(): Promise<void> {
  await current?.operator.stop('SIGTERM');
  current?.lab.close();
  current = undefined;
}

export function world(): World {
  if (current === undefined) throw new Error('the world is not open: import ./hooks.ts in the test file');
  return current;
}

export const lab = (): Lab => world().lab;
export const cluster = (): Cluster => world().cluster;
export const operator = (): RunningOperator => world().operator;

async function untilReady(cluster: Cluster, kind: string, name: string): Promise<void> {
  await eventually(`${kind} ${name} to be Ready`, async () => {
    const { status } = await cluster.get(kind, name);
    const ready = status?.conditions?.find(({ type }: { type: string }) => type === 'Ready');
    if (ready?.status !== 'True') throw new Error(`${ready?.status} ${ready?.reason}: ${ready?.message}`);
    return true;
  });
}

/** On the lab's first nodes only, so that nodes that come and go take none of its pods along. */
async function deployBystander(cluster: Cluster, lab: Lab): Promise<World['bystander']> {
  const [namespace, name] = ['bystander', 'bystander'];
  const nodes = await lab.nodes();
  await cluster.apply(
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
    deployment({ namespace, name, replicas: nodes.length, nodes }),
    service({ namespace, name }),
  );
  await cluster.rolledOut(`deployment/${name}`, namespace);
  const address = await eventually('the unrelated Service to have an address', async () => {
    const stored = await cluster.get('service', name, namespace);
    return stored.status.loadBalancer.ingress?.[0]?.ip as string | undefined;
  });
  const url = `http://${address}/hostname`;
  await eventually(`the unrelated Service to answer at ${url}`, async () => {
    for (const client of ['client', 'client-director-1', 'client-director-2'] as const) {
      const { status, error } = await lab.client(client).get(url);
      if (status !== 200) throw new Error(`${client}: ${status} ${error ?? ''}`);
    }
    return true;
  });
  return { namespace, name, address };
}
