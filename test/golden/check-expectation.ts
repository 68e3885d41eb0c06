import assert from 'node:assert/strict';
import type { ServiceKey } from '../../operator/model/load-balanced-service.ts';
import { CORE_FINALIZER, FINALIZER } from '../../operator/model/names.ts';
import { formatEndpoint, formatVirtualServerKey, type VirtualServer } from '../../operator/model/virtual-server.ts';
import type { World } from '../builders/a-world.ts';
import type { FakeDirector } from '../fakes/fake-director.ts';
import type { Expectation, ServiceExpectation } from './golden-case.ts';
import { keyOf } from './stored-manifests.ts';

/** How things stood when a step began. */
export interface Since {
  readonly writes: number;
  readonly events: number;
  readonly directorWrites: number;
  readonly published: ReadonlyMap<ServiceKey, { readonly uid: string; readonly ips: readonly string[] }>;
}

/** Throws an AssertionError for the first thing that is not as expected. */
export function checkExpectation(world: World, expected: Expectation, since: Since): void {
  for (const [id, service] of Object.entries(expected.services ?? {})) checkService(world, id, service, since);
  const named = new Set(Object.keys(expected.services ?? {}).map(keyOf));
  for (const [key, { uid, ips }] of since.published) {
    const now = world.api.services.get(key);
    if (named.has(key) || ips.length === 0 || now?.wanted !== true || now.uid !== uid) continue;
    assert.deepEqual(world.published(key), ips, `Service ${key} keeps its address`);
  }
  for (const host of directorsOf(world, expected)) checkDirector(host, expected);
  for (const [name, parts] of Object.entries(expected.pools ?? {})) checkPool(world, name, parts);
  assertUniqueKeys(world);
  if (expected.quiet !== true) return;
  assert.deepEqual(world.writer.writes.slice(since.writes), [], 'no write to the API server');
  assert.equal(directorWrites(world) - since.directorWrites, 0, 'no write on a director');
}

function directorsOf(world: World, { tablesOf }: Expectation): readonly FakeDirector[] {
  return [...world.hosts]
    .filter(([name]) => tablesOf?.includes(name) ?? world.api.directors.has(name))
    .map(([, host]) => host);
}

function checkService(world: World, id: string, expected: ServiceExpectation | null, since: Since): void {
  const key = keyOf(id);
  const stored = world.api.services.get(key);
  if (expected === null) {
    assert.equal(stored, undefined, `Service ${id} is there`);
    return;
  }
  assert.ok(stored, `Service ${id} is not there`);
  const { addresses, ipMode, portErrors, finalizers, events, writes } = expected;
  if (addresses !== undefined)
    assert.deepEqual(world.published(key), addresses, `addresses of ${id}: ${conditions(world, key)}`);
  if (ipMode !== undefined) assert.deepEqual([...new Set(stored.ingress.map((entry) => entry.ipMode))], [ipMode]);
  if (portErrors !== undefined) {
    const found = stored.ingress.flatMap(({ ports = [] }) => ports);
    const errors = found.flatMap(({ protocol, port, error }) =>
      error === undefined ? [] : [[`${protocol}/${port}`, error]],
    );
    assert.deepEqual(Object.fromEntries(errors), portErrors, `port errors of ${id}`);
  }
  if (finalizers !== undefined) {
    const both = [FINALIZER, CORE_FINALIZER].map((name) => stored.finalizers.includes(name));
    assert.deepEqual(both, [finalizers, finalizers], `finalizers of ${id}: ${stored.finalizers.join(', ')}`);
  }
  for (const type of ['AddressAssigned', 'Programmed'] as const) {
    if (expected[type] !== undefined) assertText(world.condition(key, type), expected[type], `${type} of ${id}`);
  }
  if (events !== undefined) assertTexts(eventsAbout(world, id, since), events, `events of ${id}`);
  if (writes !== undefined) {
    const ours = world.writer.writes.slice(since.writes).filter(({ object }) => object === key);
    assert.deepEqual(
      ours.map(({ verb }) => verb),
      writes,
      `writes to ${id}`,
    );
  }
}

function eventsAbout(world: World, id: string, since: Since): string[] {
  return world.events.recorded
    .slice(since.events)
    .filter(({ about }) => about.kind === 'Service' && `${about.namespace}/${about.name}` === id)
    .map(({ reason, message }) => `${reason}: ${message}`);
}

function checkDirector({ table, address }: FakeDirector, { table: expected, virtualServers = {} }: Expectation): void {
  const servers = table.virtualServers();
  if (expected !== undefined) {
    const keys = servers.map(formatVirtualServerKey);
    assert.deepEqual(keys, Object.keys(expected), `virtual servers on the director at ${address}`);
    for (const server of servers) {
      const real: readonly string[] | null | undefined = expected[formatVirtualServerKey(server)];
      if (real != null)
        assert.deepEqual(realServers(server), real, `${formatVirtualServerKey(server)} on the director at ${address}`);
    }
  }
  for (const [key, parts] of Object.entries(virtualServers)) {
    const server = servers.find((each) => formatVirtualServerKey(each) === key);
    assert.ok(server, `no ${key} on the director at ${address}`);
    assertParts(server, parts, key);
  }
}

/** `192.0.2.21:80`, and behind it what is not weight 1 and direct routing. */
function realServers({ realServers: all }: VirtualServer): string[] {
  return all.map(({ address, port, weight, forwardingMethod }) => {
    const method = forwardingMethod === 'DirectRouting' ? '' : ` ${forwardingMethod}`;
    return `${formatEndpoint(address, port)}${method}${weight === 1 ? '' : ` weight ${weight}`}`;
  });
}

function checkPool(
  world: World,
  name: string,
  { conditions: expected, ...parts }: Readonly<Record<string, unknown>>,
): void {
  const status = world.writer.poolStatuses.get(name);
  assert.ok(status, `pool ${name} has no status`);
  for (const [field, value] of Object.entries(parts)) {
    assert.deepEqual(status[field as keyof typeof status], value, `${field} of the status of pool ${name}`);
  }
  for (const [type, text] of Object.entries((expected ?? {}) as Readonly<Record<string, string>>)) {
    const found = status.conditions.find((condition) => condition.type === type);
    assertText(found && `${found.status} ${found.reason}: ${found.message}`, text, `${type} of pool ${name}`);
  }
}

function assertParts(whole: object, parts: Readonly<Record<string, unknown>>, what: string): void {
  for (const [field, value] of Object.entries(parts)) {
    assert.deepEqual(whole[field as keyof typeof whole], value, `${field} of ${what}`);
  }
}

/** I1 of the design: one (address, protocol, port) belongs to one Service. */
function assertUniqueKeys(world: World): void {
  const owners = new Map<string, string>();
  for (const { key, wanted, ingress, ports, record } of world.api.services.values()) {
    if (!wanted) continue;
    const own = record?.sharing?.ports;
    for (const { ip } of ingress) {
      for (const { port, protocol } of ports) {
        if (own?.includes(`${protocol}/${port}`) === false) continue;
        const id = formatVirtualServerKey({ address: ip, port, protocol });
        assert.equal(owners.get(id) ?? key, key, `${id} is published by two Services`);
        owners.set(id, key);
      }
    }
  }
}

function conditions(world: World, key: ServiceKey): string {
  return world
    .service(key)
    .conditions.map(({ status, reason, message }) => `${status} ${reason}: ${message}`)
    .join(' | ');
}

function assertTexts(found: readonly string[], expected: readonly string[], what: string): void {
  assert.equal(found.length, expected.length, `${what}: ${JSON.stringify(found)}`);
  for (const [index, text] of expected.entries()) assertText(found[index], text, what);
}

function assertText(found: string | undefined, expected: string | null, what: string): void {
  if (expected === null) {
    assert.equal(found, undefined, what);
    return;
  }
  const pattern = expected
    .split('…')
    .map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
    .join('.*');
  assert.match(found ?? '', new RegExp(`^${pattern}`), `${what}: ${found}`);
}

/** Writes that the directors of the world have counted. */
export function directorWrites(world: World): number {
  return [...world.hosts.values()].reduce((sum, { table }) => sum + table.totalWrites, 0);
}
