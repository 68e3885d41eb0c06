import assert from 'node:assert/strict';
import { type LoadBalancedService, serviceKey } from '../../../operator/model/load-balanced-service.ts';
import { formatVirtualServerKey } from '../../../operator/model/virtual-server.ts';
import { aPool } from '../../builders/a-pool.ts';
import { aService, aServicePort } from '../../builders/a-service.ts';
import { World } from '../../builders/a-world.ts';

const IP = '203.0.113.10';
const keyOf = (name: string) => serviceKey('default', name);

function sharer(name: string, ...ports: number[]): LoadBalancedService {
  const list = ports.map((port) => aServicePort({ name: `p${port}`, port }));
  return aService({ name, ports: list, request: { sharingKey: 'k' } });
}

describe('Services that share an address', () => {
  let world: World;
  beforeEach(async () => {
    world = new World();
    world.start();
    for (const [name, port] of [
      ['a', 80],
      ['b', 443],
    ] as const) {
      world.api.putService(sharer(name, port));
      await world.run();
    }
  });
  afterEach(() => world.stop());

  const tableOf = (director: string) => world.host(director).table.virtualServers().map(formatVirtualServerKey).join();
  const tables = () => ['lb-1', 'lb-2'].map(tableOf);
  const both = [`TCP ${IP}:80,TCP ${IP}:443`, `TCP ${IP}:80,TCP ${IP}:443`];
  /** Keys that vanish from lb-1 while something happens, looked at after every millisecond. */
  async function lost(milliseconds: number): Promise<string[]> {
    const before = tableOf('lb-1').split(',');
    const gone = new Set<string>();
    for (let passed = 0; passed < milliseconds; passed += 1) {
      await world.run(1);
      const now = tableOf('lb-1').split(',');
      for (const key of before) if (!now.includes(key)) gone.add(key);
    }
    return [...gone];
  }

  it('are served side by side, and both publish it', () => {
    assert.deepEqual(tables(), both);
    for (const name of ['a', 'b']) assert.deepEqual(world.published(keyOf(name)), [IP]);
    assert.deepEqual(world.service(keyOf('b')).record?.sharing, { key: 'k', ports: ['TCP/443'] });
  });

  it('lose nothing when one of them leaves, and the address is free when the last one has left', async () => {
    world.api.deleteService(keyOf('a'));
    assert.deepEqual(await lost(200), [`TCP ${IP}:80`]);
    assert.match(world.events.about('Service', 'a').join(), /stays with those who share it/);
    assert.deepEqual(world.published(keyOf('b')), [IP]);
    world.api.deleteService(keyOf('b'));
    await world.run();
    assert.deepEqual(tables(), ['', '']);
    world.api.putService(aService({ name: 'c' }));
    await world.run();
    assert.deepEqual(world.published(keyOf('c')), [IP]);
  });

  it('change nothing at a restart', async () => {
    const toServices = () => world.writer.writes.filter(({ object }) => object.startsWith('default/')).length;
    const writes = [world.host('lb-1').table.totalWrites, toServices()];
    await world.stop();
    world.start();
    await world.run(90_000);
    assert.deepEqual([world.host('lb-1').table.totalWrites, toServices()], writes);
  });

  it('pass a port from one to the other', async () => {
    world.api.putService(sharer('a', 81));
    world.api.putService(sharer('b', 80, 443));
    await world.run();
    assert.equal(tableOf('lb-1'), `TCP ${IP}:80,TCP ${IP}:81,TCP ${IP}:443`);
    assert.match(world.condition(keyOf('b'), 'AddressAssigned') ?? '', /^True Assigned/);
  });

  it('keep a port with who has it, say so, and give it when it is free; through a restart as well', async () => {
    world.api.putService(sharer('a', 80, 443));
    await world.run();
    assert.deepEqual(tables(), both);
    assert.match(
      world.condition(keyOf('a'), 'AddressAssigned') ?? '',
      /^True PortInUse: .*TCP\/443.*Service default\/b/,
    );
    await world.stop();
    world.start();
    await world.run();
    assert.deepEqual(tables(), both);
    assert.deepEqual(world.service(keyOf('b')).record?.sharing?.ports, ['TCP/443']);
    world.api.deleteService(keyOf('b'));
    await world.run();
    assert.deepEqual(world.service(keyOf('a')).record?.sharing?.ports, ['TCP/443', 'TCP/80']);
    assert.deepEqual(tables(), both);
    assert.match(world.condition(keyOf('a'), 'AddressAssigned') ?? '', /^True Assigned/);
  });

  it('do not wait for a director that is away when another one joins them, and it closes what was left when it is back', async () => {
    const lb2 = world.host('lb-2');
    lb2.fail('Unreachable');
    await world.run();
    world.api.deleteService(keyOf('b'));
    world.api.putService(sharer('c', 8080));
    await world.run(10_000);
    assert.equal(tableOf('lb-1'), `TCP ${IP}:80,TCP ${IP}:8080`);
    assert.deepEqual(world.published(keyOf('c')), [IP]);
    assert.match(world.condition(keyOf('c'), 'Programmed') ?? '', /^True Programmed: Programmed on director lb-1\./);
    assert.ok(world.service(keyOf('b')).deleting, 'lb-2 may still hold it');
    lb2.applies.length = 0;
    lb2.recover();
    await world.run(60_000);
    assert.deepEqual(tables(), [`TCP ${IP}:80,TCP ${IP}:8080`, `TCP ${IP}:80,TCP ${IP}:8080`]);
    assert.equal(lb2.applies.length, 1, 'removed and added in one request');
    assert.equal(world.api.services.get(keyOf('b')), undefined);
  });

  it('do not wait for it either when one of them has given up a port', async () => {
    world.host('lb-2').fail('Unreachable');
    await world.run();
    world.api.putService(sharer('b', 444));
    await world.run();
    world.api.putService(sharer('c', 8080));
    await world.run(10_000);
    assert.deepEqual(world.published(keyOf('c')), [IP]);
    world.host('lb-2').recover();
    await world.run(60_000);
    assert.equal(tableOf('lb-2'), `TCP ${IP}:80,TCP ${IP}:444,TCP ${IP}:8080`);
  });

  it('tell one that joins them which director it waits for, and why', async () => {
    const busy = { class: 'object', message: 'device or resource busy' } as const;
    world.host('lb-1').table.refusals.set(`TCP ${IP}:443`, busy);
    world.api.deleteService(keyOf('b'));
    world.api.putService(sharer('c', 8080));
    await world.run(10_000);
    assert.deepEqual(world.published(keyOf('c')), []);
    const said = world.condition(keyOf('c'), 'Programmed') ?? '';
    assert.match(
      said,
      /^False Pending: .*as soon as director lb-1 has removed what is left there: TCP .*:443 \(.*busy\)/,
    );
    const writes = world.writesTo(keyOf('c')).length;
    await world.run(120_000);
    assert.equal(world.writesTo(keyOf('c')).length, writes, 'it is said once');
    world.host('lb-1').table.refusals.clear();
    await world.run(60_000);
    assert.deepEqual(world.published(keyOf('c')), [IP]);
    assert.deepEqual(tables(), [`TCP ${IP}:80,TCP ${IP}:8080`, `TCP ${IP}:80,TCP ${IP}:8080`]);
  });

  it('do not hinder each other when one cannot be read: it is left alone, the other changes and goes', async () => {
    await world.stop();
    world.api.putService({ ...sharer('a', 80), problems: ['The annotation cannot be read.'] });
    world.start();
    await world.run();
    assert.deepEqual(tables(), both);
    world.api.putService(sharer('b', 444));
    await world.run();
    assert.equal(tableOf('lb-1'), `TCP ${IP}:80,TCP ${IP}:444`);
    world.api.deleteService(keyOf('b'));
    await world.run();
    assert.equal(world.api.services.get(keyOf('b')), undefined);
    assert.equal(tableOf('lb-1'), `TCP ${IP}:80`);
  });
});

describe('A pool with a release delay', () => {
  const HOUR_MS = 3_600_000;
  let world: World;
  beforeEach(async () => {
    world = new World({ pools: [aPool({ addresses: [IP], releaseDelaySeconds: 3_600 })] });
    world.start();
    world.api.putService(aService({ name: 'a' }));
    await world.run();
  });
  afterEach(() => world.stop());

  it('holds the address of a deleted Service, says so before the Service is gone, and gives it to the next when the time is over', async () => {
    world.writer.onWrite = ({ verb }) => {
      if (verb === 'release') assert.equal(world.writer.poolStatuses.get('web')?.held?.[0]?.service, 'default/a');
    };
    world.api.deleteService(keyOf('a'));
    await world.run(10_000);
    assert.equal(world.api.services.get(keyOf('a')), undefined);
    assert.match(world.events.about('Service', 'a').join(), /is held for this name for a while/);
    world.api.putService(aService({ name: 'b' }));
    await world.run(HOUR_MS - 20_000);
    assert.deepEqual(world.published(keyOf('b')), []);
    await world.run(15_000);
    assert.deepEqual(world.published(keyOf('b')), [IP]);
    await world.run(10_000);
    assert.equal(world.writer.poolStatuses.get('web')?.held, undefined);
  });

  it('gives it back to the same name, also after a restart', async () => {
    world.api.deleteService(keyOf('a'));
    await world.run(10_000);
    await world.stop();
    world.api.putService(aService({ name: 'b', createdAt: 1 }));
    world.start();
    await world.run();
    world.api.putService(aService({ name: 'a', uid: 'another' }));
    await world.run();
    assert.deepEqual(world.published(keyOf('a')), [IP]);
    assert.deepEqual(world.published(keyOf('b')), []);
  });

  it('frees it at start when its time has passed meanwhile', async () => {
    world.api.deleteService(keyOf('a'));
    await world.run(10_000);
    await world.stop();
    await world.run(HOUR_MS);
    world.api.putService(aService({ name: 'b' }));
    world.start();
    await world.run();
    assert.deepEqual(world.published(keyOf('b')), [IP]);
  });
});

describe('Asking for another address', () => {
  it('moves a served Service once, the new address before the old one is closed', async () => {
    const world = new World();
    world.start();
    world.api.putService(aService());
    await world.run();
    world.api.putService(aService({ request: { reallocate: 'now' } }));
    await world.run();
    const WEB = keyOf('web');
    assert.deepEqual(world.published(WEB), ['203.0.113.11']);
    assert.equal(world.service(WEB).record?.reallocated, 'now');
    await world.stop();
    world.start();
    await world.run();
    assert.deepEqual(world.published(WEB), ['203.0.113.11']);
    assert.equal(world.host('lb-1').table.virtualServers().length, 1);
    await world.stop();
  });
});
