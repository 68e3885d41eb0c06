import type { AddressRange } from '../../operator/model/address-pool.ts';
import { addressFromNumber, type IpAddress } from '../../operator/model/ip-address.ts';
import { matchesSelector } from '../../operator/model/labels.ts';
import type { LoadBalancedService } from '../../operator/model/load-balanced-service.ts';
import { EXCLUDE_NODE_LABEL } from '../../operator/model/names.ts';
import { formatVirtualServerKey } from '../../operator/model/virtual-server.ts';
import type { World } from '../builders/a-world.ts';
import { reservedFor } from './random-pool.ts';

/**
 * What each director should hold in the end, worked out from the cluster alone and without any code of the controllers: key text →
 * addresses of its real servers.
 */
export function expectedTables(world: World): Map<string, Map<string, string>> {
  const tables = new Map<string, Map<string, string>>();
  for (const director of world.api.directors.values()) {
    if (!director.ok) continue;
    const table = new Map<string, string>();
    if (director.value.state !== 'Drained') {
      for (const service of published(world)) {
        const pool = world.api.pools.get(service.allocatedFromPool ?? '');
        if (pool?.ok !== true || !matchesSelector(director.value.labels, pool.value.directorSelector)) continue;
        for (const { ip } of service.ingress) {
          for (const { port, protocol } of ownPorts(service)) {
            const { backends } = pool.value.balancing;
            const real = backends === 'Pods' ? podAddresses(world, service) : nodeAddresses(world);
            table.set(formatVirtualServerKey({ address: ip, port, protocol }), real);
          }
        }
      }
    }
    tables.set(director.value.name, table);
  }
  return tables;
}

/** What each director holds of ours, in the same form. */
export function actualTables(world: World): Map<string, Map<string, string>> {
  const tables = new Map<string, Map<string, string>>();
  for (const name of world.api.directors.keys()) {
    const rows = world
      .host(name)
      .table.virtualServers()
      .map((server): [string, string] => [
        formatVirtualServerKey(server),
        server.realServers.map(({ address }) => address).join(' '),
      ]);
    tables.set(name, new Map(rows.sort(([a], [b]) => (a < b ? -1 : 1))));
  }
  return tables;
}

/** The ports that are the Service's own at its addresses: all, or with sharing what its record says. */
export function ownPorts({ ports, record }: LoadBalancedService): LoadBalancedService['ports'] {
  const own = record?.sharing?.ports;
  return own === undefined ? ports : ports.filter(({ protocol, port }) => own.includes(`${protocol}/${port}`));
}

/** Ports that a Service wants, has not, and nobody else has at its addresses. */
export function portsWithheld(world: World, service: LoadBalancedService): readonly number[] {
  const own = ownPorts(service);
  return service.ports
    .filter((wanted) => !own.includes(wanted))
    .map(({ port }) => port)
    .filter((port) => !othersAt(world, service).some((other) => other.ports.some((their) => their.port === port)));
}

/** An address that the Service could have although it has none, worked out from pools and records alone. */
export function freeFor(world: World, service: LoadBalancedService): IpAddress | undefined {
  const { key, request, labels } = service;
  const asked = request.addresses[0];
  for (const pool of world.api.pools.values()) {
    if (!pool.ok) continue;
    const { name, ranges, autoAssign, reservations, serviceAllocation } = pool.value;
    const { serviceSelectors, quotaPerNamespace } = serviceAllocation;
    const isGuest = reservations.some((reservation) => reservation.service === key);
    const isAdmitted =
      isGuest || serviceSelectors.length === 0 || serviceSelectors.some((one) => matchesSelector(labels, one));
    if (!isAdmitted || (request.pool !== undefined ? request.pool !== name : asked === undefined && !autoAssign))
      continue;
    const used = usedOf(world, name);
    const isFull = quotaPerNamespace > 0 && used.size >= quotaPerNamespace;
    const found = addressesOf(ranges).find((address) => {
      const isFree = (asked === undefined || asked === address) && !isTaken(world, address);
      const guest = reservedFor(pool.value, address);
      return isFree && (guest === undefined ? !isFull : guest === key);
    });
    if (found !== undefined) return found;
  }
  return undefined;
}

function othersAt(world: World, { key, record }: LoadBalancedService): LoadBalancedService[] {
  return [...world.api.services.values()].filter(
    (other) => other.key !== key && other.record?.addresses.some((address) => record?.addresses.includes(address)),
  );
}

function isTaken(world: World, address: IpAddress): boolean {
  return [...world.api.services.values()].some(({ record }) => record?.addresses.includes(address) === true);
}

function usedOf(world: World, pool: string): ReadonlySet<IpAddress> {
  const records = [...world.api.services.values()].flatMap(({ record }) => record ?? []);
  return new Set(records.flatMap((record) => (record.pool === pool ? record.addresses : [])));
}

function addressesOf(ranges: readonly AddressRange[]): readonly IpAddress[] {
  return ranges.flatMap(({ family, first, last }) =>
    Array.from({ length: Number(last - first) + 1 }, (_, index) => addressFromNumber(family, first + BigInt(index))),
  );
}

function published(world: World): LoadBalancedService[] {
  return [...world.api.services.values()].filter((service) => service.wanted && service.ingress.length > 0);
}

/** Ready pods, or where none is those that are ending. */
function podAddresses(world: World, { key }: LoadBalancedService): string {
  const pods = world.api.endpoints.get(key)?.groups.flatMap(({ endpoints }) => endpoints) ?? [];
  const ready = pods.filter(({ state }) => state === 'ready');
  return (ready.length > 0 ? ready : pods).map(({ address }) => address).join(' ');
}

function nodeAddresses(world: World): string {
  return [...world.api.nodes.values()]
    .filter((node) => node.labels[EXCLUDE_NODE_LABEL] !== 'true')
    .map((node) => String(node.internalIPs[0]))
    .sort((a, b) => Number(a.split('.')[3]) - Number(b.split('.')[3]))
    .join(' ');
}
