import assert from 'node:assert/strict';
import type { IpAddress } from '../../../operator/model/ip-address.ts';
import { type Ingress, serviceKey } from '../../../operator/model/load-balanced-service.ts';
import { formatVirtualServerKey } from '../../../operator/model/virtual-server.ts';
import { aPool } from '../../builders/a-pool.ts';
import { aService } from '../../builders/a-service.ts';
import { World } from '../../builders/a-world.ts';

const WEB = serviceKey('default', 'web');
const FIRST = '203.0.113.10' as IpAddress;
const OTHER = '203.0.113.12' as IpAddress;
const RECORD = { pool: 'web', addresses: [FIRST] };
const FORGED = { pool: 'web', addresses: [OTHER] };
const SHOWN: readonly Ingress[] = [{ ip: OTHER, ipMode: 'VIP' }];

describe('What is stored about the addresses of a Service', () => {
  let world: World;
  beforeEach(() => {
    world = new World();
  });
  afterEach(() => world.stop());

  const tables = () =>
    ['lb-1', 'lb-2'].map((name) => world.host(name).table.virtualServers().map(formatVirtualServerKey).join());
  const eventsOf = (reason: string) =>
    world.events.about('Service', 'web').filter((event) => event.startsWith(`${reason}:`));
  const served = [`TCP ${FIRST}:80`, `TCP ${FIRST}:80`];

  async function serving(): Promise<void> {
    world.start();
    world.api.putService(aService());
    await world.run();
  }

  it('names pool and addresses before anything reaches a director', async () => {
    let recorded: unknown;
    world.writer.onWrite = ({ verb }) => {
      if (verb === 'claim') recorded = { record: world.service(WEB).record, tables: tables() };
    };
    await serving();
    assert.deepEqual(recorded, { record: RECORD, tables: ['', ''] });
  });

  it('is put right when somebody changes it, at most once a minute, with an event and no change on a director', async () => {
    await serving();
    await world.run(60_000);
    const writes = world.host('lb-1').table.totalWrites;
    const claims = () => world.writer.writes.filter(({ verb }) => verb === 'claim').length;
    assert.equal(claims(), 1);
    world.api.changeService(WEB, { record: FORGED });
    await world.run(1_000);
    assert.deepEqual(world.service(WEB).record, RECORD);
    for (let second = 0; second < 60; second += 1) {
      world.api.changeService(WEB, { record: FORGED });
      await world.run(1_000);
    }
    assert.ok(claims() <= 4, `${claims()} claims in about a minute`);
    assert.equal(eventsOf('ForeignChange').length, claims() - 1);
    await world.run(120_000);
    assert.deepEqual(world.service(WEB).record, RECORD);
    assert.deepEqual(world.published(WEB), [FIRST]);
    assert.equal(world.host('lb-1').table.totalWrites, writes);
  });

  it('outweighs the status: a foreign one is corrected, at most once a minute, and never programmed', async () => {
    await serving();
    await world.run(60_000);
    const writes = world.host('lb-1').table.totalWrites;
    const corrections = () => world.writer.writes.filter(({ verb }) => verb === 'serviceStatus').length - 1;
    for (let second = 0; second < 60; second += 1) {
      world.api.changeService(WEB, { ingress: SHOWN });
      await world.run(1_000);
    }
    assert.ok(corrections() >= 1 && corrections() <= 3, `${corrections()} corrections in a minute`);
    assert.equal(eventsOf('StatusRewritten').length, corrections());
    await world.run(120_000);
    assert.deepEqual(world.published(WEB), [FIRST]);
    assert.deepEqual(tables(), served);
    assert.equal(world.host('lb-1').table.totalWrites, writes);
  });

  it('brings a status back that somebody emptied; nobody else gets the address meanwhile', async () => {
    await serving();
    world.api.changeService(WEB, { ingress: [] });
    world.api.putService(aService({ name: 'b', request: { addresses: [FIRST] } }));
    await world.run(120_000);
    assert.deepEqual(world.published(WEB), [FIRST]);
    assert.deepEqual(world.published(serviceKey('default', 'b')), []);
    assert.deepEqual(tables(), served);
  });

  it('survives a process that dies between the claim and the status: same address, nothing left over', async () => {
    world.writer.onWrite = ({ verb }) => {
      if (verb === 'claim') world.clock.schedule(20, () => world.crash());
    };
    world.writer.fault = ({ verb }) => (verb === 'serviceStatus' ? 'failed' : undefined);
    await serving();
    assert.equal(world.running, false);
    assert.deepEqual(tables(), served);
    world.writer.onWrite = () => undefined;
    world.writer.fault = () => undefined;
    world.api.putService(aService({ name: 'older', createdAt: 1 }));
    world.start();
    await world.run();
    assert.deepEqual(world.published(WEB), [FIRST]);
    assert.deepEqual(world.published(serviceKey('default', 'older')), ['203.0.113.11']);
  });

  it('at start outweighs a status that somebody else wrote while we were away', async () => {
    await serving();
    await world.stop();
    world.api.changeService(WEB, { ingress: SHOWN });
    world.start();
    await world.run();
    assert.deepEqual(world.published(WEB), [FIRST]);
    assert.deepEqual(tables(), served);
  });

  it('does not come with another object of the same name', async () => {
    world = new World({ pools: [aPool({ addresses: ['203.0.113.10-203.0.113.11'] })] });
    await serving();
    world.api.putService(aService({ uid: 'another', createdAt: 9_000 }));
    await world.run();
    assert.deepEqual(world.published(WEB), ['203.0.113.11']);
    assert.deepEqual(tables(), ['TCP 203.0.113.11:80', 'TCP 203.0.113.11:80']);
  });

  it('forged while we were away takes nothing from anybody, is said, and is put right', async () => {
    await serving();
    await world.stop();
    const thief = serviceKey('evil', 'thief');
    world.api.putService(aService({ namespace: 'evil', name: 'thief', createdAt: 1 }));
    world.api.changeService(thief, { record: RECORD });
    world.start();
    await world.run();
    assert.deepEqual(world.published(WEB), [FIRST]);
    assert.deepEqual(world.published(thief), ['203.0.113.11']);
    assert.deepEqual(world.service(thief).record, { pool: 'web', addresses: ['203.0.113.11'] });
    const [event] = world.events.about('Service', 'thief');
    assert.match(
      event ?? '',
      /^AllocationFailed: .*names 203\.0\.113\.10, which belongs to a Service of another namespace/,
    );
  });

  it('forged for a pool that does not admit the Service is removed, and the Service says why it has nothing', async () => {
    world = new World({ pools: [aPool({ serviceAllocation: { namespaces: ['prod'] } })] });
    world.api.putService(aService());
    world.api.changeService(WEB, { record: RECORD });
    world.start();
    await world.run();
    assert.deepEqual(world.published(WEB), []);
    assert.equal(world.service(WEB).record, undefined);
    assert.match(world.condition(WEB, 'AddressAssigned') ?? '', /^False PoolNotAllowed/);
    assert.equal(eventsOf('AllocationFailed').length, 2, 'the record, and the Service');
    assert.deepEqual(tables(), ['', '']);
  });
});
