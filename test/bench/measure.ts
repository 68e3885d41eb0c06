import type { Cluster } from '../e2e/cluster.ts';
import { eventually, pause } from '../e2e/eventually.ts';
import { untilOnDirectors } from '../e2e/kernel.ts';
import { service } from '../e2e/manifests.ts';
import { type LabNode, nodesOf } from '../e2e/nodes.ts';
import type { Lab } from '../lab/lab.ts';
import type { DirectorVm } from '../lab/vm/director-vm.ts';
import { ApiConnection } from './api-connection.ts';
import type { Sample } from './sample.ts';

const NAMESPACE = 'bench';

/** A lab in which the product is installed and has a pool that assigns by itself. */
export interface Place {
  readonly lab: Lab;
  readonly cluster: Cluster;
}

/** So many Services exist at most: a pool of the lab is not large. */
const BATCH = 25;

async function removeServices(place: Place, api: ApiConnection): Promise<void> {
  for (const { metadata } of await place.cluster.list('services', NAMESPACE)) {
    await api.send('DELETE', `/api/v1/namespaces/${NAMESPACE}/services/${metadata.name}`);
  }
  await eventually('the Services of the measurement to be gone', async () => {
    const left = await place.cluster.list('services', NAMESPACE);
    return left.length === 0;
  });
}

/** From the request that creates a Service until a watcher sees its address in the status, one Service at a time. */
export async function measurePublication(place: Place, n: number): Promise<Sample[]> {
  await createNamespace(place);
  const api = new ApiConnection(place.lab.dir.kubeconfig('admin'));
  const services = `/api/v1/namespaces/${NAMESPACE}/services`;
  const waiting = new Map<string, () => void>();
  const stop = await api.watch(services, (_phase, { metadata, status }) => {
    if (status?.loadBalancer?.ingress?.length > 0) waiting.get(metadata.name)?.();
  });
  const [published, posted]: [number[], number[]] = [[], []];
  for (let i = 0; i < n; i += 1) {
    const name = `published-${i}`;
    const seen = new Promise<void>((resolve) => waiting.set(name, resolve));
    const start = performance.now();
    await api.send('POST', services, service({ namespace: NAMESPACE, name, app: 'none' }));
    posted.push(performance.now() - start);
    await bounded(seen, `Service ${name} to have an address`);
    published.push(performance.now() - start);
    if ((i + 1) % BATCH === 0) await removeServices(place, api);
  }
  stop();
  await removeServices(place, api);
  await api.close();
  return [
    { what: 'Service created → EXTERNAL-IP published', milliseconds: published },
    { what: '  of it: the create request alone', milliseconds: posted },
  ];
}

/**
 * From the request that changes the cluster until the director's kernel has it, one change at a time: an endpoint that moves from node to node
 * under externalTrafficPolicy Local, and a node that is excluded and taken back. The director looks at its own table with ipvsadm again
 * and again, so the figures contain one such look (tens of milliseconds in an emulated machine).
 */
export async function measureKernel(place: Place, n: number): Promise<Sample[]> {
  await createNamespace(place);
  const api = new ApiConnection(place.lab.dir.kubeconfig('admin'));
  const [director] = place.lab.directors;
  const [first, second] = await nodesOf(place.lab);
  if (director === undefined || first === undefined || second === undefined)
    throw new Error('the measurement needs a director and two nodes');
  const address = await localService(place, api, first);
  const endpoint: number[] = [];
  for (let i = 0; i < n; i += 1) {
    const [to, from] = i % 2 === 0 ? [second, first] : [first, second];
    const seen = untilTable(director, address, [`${to.address}:80`], [`${from.address}:80`]);
    endpoint.push(await timed(seen, () => api.send('PATCH', `${SLICES}/local`, { endpoints: endpointsOn(to.name) })));
  }
  await api.send('PATCH', `${SLICES}/local`, { endpoints: endpointsOn(first.name) });
  const node: number[] = [];
  for (let i = 0; i < n; i += 1) {
    const excluded = i % 2 === 0;
    const label = { 'node.kubernetes.io/exclude-from-external-load-balancers': excluded ? 'true' : null };
    const change = () => api.send('PATCH', `/api/v1/nodes/${first.name}`, { metadata: { labels: label } });
    const real = `${first.address}:80`;
    const seen = untilTable(director, address, excluded ? [] : [real], excluded ? [real] : []);
    node.push(await timed(seen, change));
  }
  await api.close();
  await place.cluster.kubectl('delete', 'service', 'local', '-n', NAMESPACE, '--timeout=60s');
  return [
    { what: 'endpoint moved → kernel of a director', milliseconds: endpoint },
    { what: 'node excluded or taken back → kernel of a director', milliseconds: node },
  ];
}

const SLICES = `/apis/discovery.k8s.io/v1/namespaces/${NAMESPACE}/endpointslices`;

/** A Service whose endpoints are written by the measurement itself, so that no pod's start is in the figures. */
async function localService(place: Place, api: ApiConnection, node: LabNode): Promise<string> {
  const spec = { selector: null, externalTrafficPolicy: 'Local' };
  await place.cluster.apply(service({ namespace: NAMESPACE, name: 'local', spec }));
  await api.send('POST', SLICES, {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'local', labels: { 'kubernetes.io/service-name': 'local' } },
    addressType: 'IPv4',
    ports: [{ name: 'http', protocol: 'TCP', port: 8080 }],
    endpoints: endpointsOn(node.name),
  });
  const address = await eventually('the measured Service to have an address', async () => {
    const stored = await place.cluster.get('service', 'local', NAMESPACE);
    return stored.status.loadBalancer.ingress?.[0]?.ip as string | undefined;
  });
  await untilOnDirectors(
    `TCP ${address}:80`,
    { realServers: [`${node.address}:80 DirectRouting 1`] },
    place.lab.directors,
  );
  return address;
}

function endpointsOn(nodeName: string): object[] {
  return [{ addresses: ['198.18.200.1'], nodeName, conditions: { ready: true, serving: true, terminating: false } }];
}

/** Resolves when the director's own ipvsadm lists every wanted real server of the virtual server, and none of the others, with a weight. */
function untilTable(
  director: DirectorVm,
  vip: string,
  wanted: readonly string[],
  others: readonly string[],
): Promise<unknown> {
  const line = (real: string) => `grep -q -- '-t ${vip}:80 -r ${real} .*-w [1-9]' /tmp/table`;
  const conditions = [...wanted.map(line), ...others.map((real) => `! ${line(real)}`)].join(' && ');
  return director.read(`until ipvsadm -Sn >/tmp/table && ${conditions}; do :; done`);
}

/** Milliseconds from the change to what shall follow; the watcher is given time to be at work before. */
async function timed(seen: Promise<unknown>, change: () => Promise<unknown>): Promise<number> {
  await pause(150);
  const start = performance.now();
  await change();
  await bounded(seen, 'the change to reach the kernel');
  return performance.now() - start;
}

async function bounded(seen: Promise<unknown>, what: string): Promise<void> {
  const late = AbortSignal.timeout(60_000);
  await Promise.race([
    seen,
    new Promise((_, reject) =>
      late.addEventListener('abort', () => reject(new Error(`waited 60 s in vain for ${what}`)), { once: true }),
    ),
  ]);
}

async function createNamespace(place: Place): Promise<void> {
  await place.cluster.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } });
}
