import { matchesSelector } from '../../operator/model/labels.ts';
import type { LoadBalancedService } from '../../operator/model/load-balanced-service.ts';
import { EXCLUDE_NODE_LABEL } from '../../operator/model/names.ts';
import { formatVirtualServerKey } from '../../operator/model/virtual-server.ts';
import type { World } from '../builders/a-world.ts';

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
          for (const { port, protocol } of service.ports) {
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
