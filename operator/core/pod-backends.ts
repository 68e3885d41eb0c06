import { listInWords } from '../lib/list-in-words.ts';
import { type CidrRange, rangeContains } from '../model/cidr-range.ts';
import { familyOf, type IpAddress, type IpFamily } from '../model/ip-address.ts';
import type { ServiceEndpoints, ServicePort } from '../model/load-balanced-service.ts';
import type { EndpointGroup, PodEndpoint } from '../model/pod-endpoints.ts';
import { type Backend, compareBackends } from './backend.ts';

/** The pods behind one Service port, and what people should know about them. */
export interface PodBackends {
  readonly backends: readonly Backend[];
  readonly notes: readonly string[];
}

/**
 * The pods behind a Service port, at the port that each slice maps it to (a named target port may be another one in each). Ready ones, or
 * where none is ready those that still serve while they end, as kube-proxy does (KEP-1669). Whatever leaves this list drains.
 *
 * Anyone who may write EndpointSlices could name any address as endpoint of his Service; what can be no pod is left out.
 *
 * @param reserved addresses that no pod has, with whose they are.
 */
export function podsAtPort(
  { groups }: Pick<ServiceEndpoints, 'groups'>,
  port: ServicePort,
  family: IpFamily,
  reserved: ReadonlyMap<IpAddress, string>,
): PodBackends {
  const found = new Map<string, Backend & Pick<PodEndpoint, 'state'>>();
  const refused = new Set<string>();
  for (const group of groups) {
    const target = targetPort(group, port);
    if (target === undefined) continue;
    for (const { address, state } of group.endpoints) {
      if (familyOf(address) !== family) continue;
      const whose = UNUSABLE.find(({ range }) => rangeContains(range, address))?.what ?? reserved.get(address);
      if (whose !== undefined) refused.add(`${address}, ${whose}`);
      else if (found.get(`${address} ${target}`)?.state !== 'ready')
        found.set(`${address} ${target}`, { address, port: target, weight: 1, state });
    }
  }
  const all = [...found.values()];
  const ready = all.filter(({ state }) => state === 'ready');
  const backends = (ready.length > 0 ? ready : all).map(({ address, port: at, weight }) => ({
    address,
    port: at,
    weight,
  }));
  return { backends: backends.sort(compareBackends), notes: notesOn([...refused].sort()) };
}

/** Where the endpoints of the slice listen for the Service port; undefined when they do not. */
export function targetPort({ ports }: EndpointGroup, { name, protocol }: ServicePort): number | undefined {
  return ports.find((port) => port.name === name && port.protocol === protocol)?.port;
}

function notesOn(refused: readonly string[]): readonly string[] {
  if (refused.length === 0) return [];
  return [
    `Its EndpointSlices name what cannot be a pod: ${listInWords(refused, 3)}. Nothing is sent there; correct the slices, or use backends Nodes for pods in the host's network.`,
  ];
}

const UNUSABLE: readonly { readonly range: CidrRange; readonly what: string }[] = [
  { range: '0.0.0.0/8' as CidrRange, what: 'an unspecified address' },
  { range: '127.0.0.0/8' as CidrRange, what: 'a loopback address' },
  { range: '169.254.0.0/16' as CidrRange, what: 'a link-local address' },
  { range: '224.0.0.0/3' as CidrRange, what: 'a multicast or reserved address' },
  { range: '::/128' as CidrRange, what: 'an unspecified address' },
  { range: '::1/128' as CidrRange, what: 'a loopback address' },
  { range: 'fe80::/10' as CidrRange, what: 'a link-local address' },
  { range: 'ff00::/8' as CidrRange, what: 'a multicast address' },
];
