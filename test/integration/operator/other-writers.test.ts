import assert from 'node:assert/strict';
import { asArray, asRecord } from '../../../operator/kube/kube-object.ts';
import { until } from '../until.ts';
import { tally } from './api-requests.ts';
import { RunningSite } from './running-site.ts';
import { countPublished, createService } from './site-services.ts';

const SERVICES = '/api/v1/namespaces/default/services';
const THEIRS = '192.0.2.99';

/** On a real API server, with the operator as it is installed, and another writer that does not give way. */
describe('an operator beside other writers', function () {
  this.timeout(300_000);
  let site: RunningSite;

  before(async () => {
    site = await RunningSite.open();
    site.startOperator();
    await createService(site.api, 'ours');
    await until('ours has an address', async () => (await countPublished(site.api)) === 1);
  });
  after(async () => site?.close());

  it('touches no Service of another class, nor one without a class, not even its status', async () => {
    const names = ['theirs', 'unclassed'];
    for (const [name, loadBalancerClass] of [
      ['theirs', 'example.com/other'],
      ['unclassed', undefined],
    ] as const) {
      const spec = { type: 'LoadBalancer', loadBalancerClass, ports: [{ port: 80, protocol: 'TCP' }] };
      await site.api.send('POST', SERVICES, { apiVersion: 'v1', kind: 'Service', metadata: { name }, spec });
      await rewrite(name, [{ ip: '198.18.0.1' }]);
    }
    await createService(site.api, 'later');
    await until('a later one of ours is served', async () => (await countPublished(site.api)) === 4);
    for (const name of names) {
      await site.api.send('DELETE', `${SERVICES}/${name}`);
    }
    await site.api.send('DELETE', `${SERVICES}/later`);
    await until('the later one is gone', async () => (await countPublished(site.api)) === 1);
    assert.deepEqual(
      site.requests.all().filter(({ name }) => names.includes(name)),
      [],
    );
  });

  it('puts back what a fighting writer makes of the addresses at most once a minute, and names it in an event', async () => {
    const [ours] = await addresses();
    site.requests.mark();
    const end = Date.now() + 20_000;
    while (Date.now() < end) {
      if ((await addresses())[0] !== THEIRS) await rewrite('ours', [{ ip: THEIRS }]);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    const writes = site.requests.writes().filter(({ name }) => name === 'ours');
    assert.deepEqual(tally(writes), { 'patch services/status': 1 });
    const note = await until('the event', async () => {
      const events = asArray(
        asRecord(await site.api.send('GET', '/apis/events.k8s.io/v1/namespaces/default/events')).items,
      );
      return events.map(asRecord).find(({ reason }) => reason === 'StatusRewritten')?.note as string | undefined;
    });
    assert.ok(note.startsWith(`Field manager other-lb had changed the addresses (${THEIRS})`), note);
    assert.ok(note.includes(`they are put right (${ours})`), note);
  });

  it('has the last word when the other one rests', async () => {
    await new Promise((resolve) => setTimeout(resolve, 45_000));
    await until('our address is back', async () => (await addresses())[0] !== THEIRS);
  });

  async function addresses(): Promise<(string | undefined)[]> {
    const { status } = asRecord(await site.api.send('GET', `${SERVICES}/ours`));
    return asArray(asRecord(asRecord(status).loadBalancer).ingress).map((entry) => asRecord(entry).ip as string);
  }

  async function rewrite(name: string, ingress: readonly object[]): Promise<void> {
    const path = `${SERVICES}/${name}/status?fieldManager=other-lb`;
    await site.api.send('PATCH', path, { status: { loadBalancer: { ingress } } });
  }
});
