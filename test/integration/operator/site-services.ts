import { asArray, asRecord } from '../../../operator/kube/kube-object.ts';
import type { ApiConnection } from '../../bench/api-connection.ts';

const SERVICES = '/api/v1/namespaces/default/services';
const SLICES = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices';
/** Requests of a user in flight at once. */
const WRITERS = 16;

/** Creates a Service of our class with one TCP port. */
export async function createService(api: ApiConnection, name: string): Promise<void> {
  const spec = {
    type: 'LoadBalancer',
    loadBalancerClass: 'ipvs-operator.io/ipvs',
    allocateLoadBalancerNodePorts: false,
    ports: [{ name: 'http', port: 80, protocol: 'TCP' }],
  };
  await api.send('POST', SERVICES, { apiVersion: 'v1', kind: 'Service', metadata: { name }, spec });
}

/** Gives its one port another number. */
export async function changePort(api: ApiConnection, name: string, port: number): Promise<void> {
  await api.send('PATCH', `${SERVICES}/${name}`, { spec: { ports: [{ name: 'http', port, protocol: 'TCP' }] } });
}

/** Makes it a Service of type ClusterIP. */
export async function makeClusterIP(api: ApiConnection, name: string): Promise<void> {
  const none = { loadBalancerClass: null, allocateLoadBalancerNodePorts: null };
  await api.send('PATCH', `${SERVICES}/${name}`, { spec: { type: 'ClusterIP', ...none } });
}

/** Deletes a Service; it is gone when its finalizers are. */
export async function deleteService(api: ApiConnection, name: string): Promise<void> {
  await api.send('DELETE', `${SERVICES}/${name}`);
}

/** Makes the one EndpointSlice of a Service: a ready endpoint on each of the nodes. */
export async function createEndpoints(api: ApiConnection, service: string, nodes: readonly string[]): Promise<void> {
  await api.send('POST', SLICES, {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: service, labels: { 'kubernetes.io/service-name': service } },
    addressType: 'IPv4',
    ports: [{ name: 'http', port: 8080 }],
    endpoints: endpointsOn(nodes),
  });
}

/** Moves the endpoints to these nodes. */
export async function moveEndpoints(api: ApiConnection, service: string, nodes: readonly string[]): Promise<void> {
  await api.send('PATCH', `${SLICES}/${service}`, { endpoints: endpointsOn(nodes) });
}

function endpointsOn(nodes: readonly string[]): object[] {
  return nodes.map((nodeName, index) => ({
    addresses: [`198.18.200.${1 + index}`],
    nodeName,
    conditions: { ready: true, serving: true, terminating: false },
  }));
}

/** Runs the work for each name, several at a time. */
export async function forEachName(names: readonly string[], work: (name: string) => Promise<void>): Promise<void> {
  const left = [...names];
  const next = async (): Promise<void> => {
    for (let name = left.shift(); name !== undefined; name = left.shift()) await work(name);
  };
  await Promise.all(Array.from({ length: WRITERS }, next));
}

/** How many of the Services of namespace default have an address. */
export async function countPublished(api: ApiConnection): Promise<number> {
  return (await listServices(api)).filter((item) => {
    const { loadBalancer } = asRecord(asRecord(item).status);
    return asArray(asRecord(loadBalancer).ingress).length > 0;
  }).length;
}

/** All Services of namespace default with our class. */
export async function listServices(api: ApiConnection): Promise<readonly unknown[]> {
  const list = await api.send('GET', `${SERVICES}?fieldSelector=spec.type%3DLoadBalancer`);
  return asArray(asRecord(list).items);
}
