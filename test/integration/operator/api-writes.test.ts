import assert from 'node:assert/strict';
import { until } from '../until.ts';
import { tally } from './api-requests.ts';
import { RunningSite } from './running-site.ts';
import {
  changePort,
  countPublished,
  createEndpoints,
  createService,
  deleteService,
  forEachName,
  listServices,
  makeClusterIP,
  moveEndpoints,
} from './site-services.ts';

const NAMES = Array.from({ length: 20 }, (_, index) => `web-${index}`);
/** Longer than any status is put off: pool figures 5 s, the confirmation of a write by the watch 5 s. */
const QUIET_MS = 7_000;

/** Counted by the API server itself, in its audit log, while the operator runs as it is installed. */
describe('what the operator writes to the API server', function () {
  this.timeout(300_000);
  let site: RunningSite;

  before(async () => {
    site = await RunningSite.open();
    site.startOperator();
    await until('both directors are ready', async () => {
      const list = (await site.api.send('GET', '/apis/ipvs-operator.io/v1alpha1/loadbalancerpools/web')) as Pool;
      return list.status?.directorsReady === '2/2';
    });
  });
  after(async () => site?.close());

  it('is three writes for a new Service, without a look: claim, status, event', async () => {
    await quiet();
    site.requests.mark();
    await forEachName(NAMES, (name) => createService(site.api, name));
    await until('all have addresses', async () => (await countPublished(site.api)) === NAMES.length);
    await quiet();
    for (const name of NAMES) {
      const about = site.requests.all().filter((request) => request.name === name);
      assert.deepEqual(tally(about), { 'patch services': 1, 'patch services/status': 1 }, name);
    }
    const { 'create events': events, ...others } = tally(writesBesideStatuses());
    assert.equal(events, NAMES.length);
    assert.deepEqual(others, {
      'patch loadbalancerpools': 1, // its finalizer, with the first Service
      'patch services': NAMES.length,
      'patch services/status': NAMES.length,
    });
  });

  it('is nothing for a change of endpoints', async () => {
    const [name = ''] = NAMES;
    await createEndpoints(site.api, name, ['node-1']);
    await quiet();
    site.requests.mark();
    for (const nodes of [['node-2'], ['node-1', 'node-2'], [], ['node-1']]) await moveEndpoints(site.api, name, nodes);
    await quiet();
    assert.deepEqual(tally(writesBesideStatuses()), {});
  });

  it('is nothing on the Service for a change of its port', async () => {
    await quiet();
    site.requests.mark();
    await changePort(site.api, NAMES[1] ?? '', 8_443);
    await quiet();
    assert.deepEqual(tally(writesBesideStatuses()), {});
  });

  it('is two writes for a deleted Service: release and event', async () => {
    await quiet();
    site.requests.mark();
    await deleteService(site.api, NAMES[2] ?? '');
    await until('it is gone', async () => (await listServices(site.api)).length === NAMES.length - 1);
    await quiet();
    assert.deepEqual(tally(writesBesideStatuses()), { 'create events': 1, 'patch services': 1 });
  });

  it('is three writes when a Service is no load balancer any more: status, release, event', async () => {
    await quiet();
    site.requests.mark();
    await makeClusterIP(site.api, NAMES[4] ?? '');
    await until('it is released', async () => {
      const { metadata } = (await site.api.send('GET', `/api/v1/namespaces/default/services/${NAMES[4]}`)) as Released;
      return (metadata.finalizers ?? []).length === 0;
    });
    await quiet();
    const expected = { 'create events': 1, 'patch services': 1, 'patch services/status': 1 };
    assert.deepEqual(tally(writesBesideStatuses()), expected);
  });

  it('is nothing on any Service when a director stands still and goes on, whatever is told of the director', async () => {
    await quiet();
    site.requests.mark();
    site.signalDirector(1, 'SIGSTOP');
    await changePort(site.api, NAMES[3] ?? '', 8_444);
    await until('the pool says so', async () => (await poolOf(site)).status?.directorsReady === '1/2');
    site.signalDirector(1, 'SIGCONT');
    await until('the pool is whole again', async () => (await poolOf(site)).status?.directorsReady === '2/2');
    await quiet();
    const services = site.requests.writes().filter(({ resource }) => resource.startsWith('services'));
    assert.deepEqual(tally(services), {});
    assert.ok(site.requests.writes().length <= 12, JSON.stringify(tally(site.requests.writes())));
  });

  it('is nothing on any Service, and no event about one, when it starts again', async () => {
    await quiet();
    await site.stopOperator();
    const before = versions(await listServices(site.api));
    site.requests.mark();
    site.startOperator();
    await until('it has listed the Services', () =>
      site.requests.all().some(({ verb, resource }) => verb === 'list' && resource === 'services'),
    );
    await until('it serves with both directors', async () => (await poolOf(site)).status?.directorsReady === '2/2');
    await quiet();
    const services = site.requests.writes().filter(({ resource, name }) => {
      return resource.startsWith('services') || (resource === 'events' && name.startsWith('web-'));
    });
    assert.deepEqual(tally(services), {});
    assert.deepEqual(versions(await listServices(site.api)), before);
  });

  /** All writes but those of pool and director statuses, which have a pace of their own. */
  function writesBesideStatuses() {
    const statuses = new Set(['loadbalancerpools/status', 'directors/status']);
    return site.requests.writes().filter(({ resource }) => !statuses.has(resource));
  }
});

interface Released {
  readonly metadata: { readonly finalizers?: readonly string[] };
}

interface Pool {
  readonly status?: { readonly directorsReady?: string };
}

async function poolOf(site: RunningSite): Promise<Pool> {
  return (await site.api.send('GET', '/apis/ipvs-operator.io/v1alpha1/loadbalancerpools/web')) as Pool;
}

function versions(services: readonly unknown[]): string[] {
  return services
    .map((service) => (service as { metadata: { name: string; resourceVersion: string } }).metadata)
    .map(({ name, resourceVersion }) => `${name} ${resourceVersion}`)
    .sort();
}

function quiet(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, QUIET_MS));
}
