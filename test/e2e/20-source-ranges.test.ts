import './hooks.ts';
import assert from 'node:assert/strict';
import { type ClientName, untilClosed } from './answers.ts';
import { eventually } from './eventually.ts';
import { pool, service } from './manifests.ts';
import { Scene } from './scene.ts';
import { cluster, lab } from './world.ts';

/** One client each way, so that a filter on one director only would show. */
const ALLOWED = { name: 'client-director-1', range: '198.51.100.11/32' } as const;
const OTHER = { name: 'client-director-2', range: '198.51.100.12/32' } as const;
const ANNOTATION = 'service.beta.kubernetes.io/load-balancer-source-ranges';

describe('loadBalancerSourceRanges', function () {
  this.timeout(240_000);
  let scene: Scene;

  before(async () => {
    scene = await Scene.open('source-ranges');
    await scene.app('web', { replicas: 2 });
    await scene.apply(
      pool('masquerading', { addresses: ['203.0.113.220-203.0.113.224'], forwardingMethod: 'Masquerading' }),
    );
  });
  after(() => scene.close());

  async function restricted(name: string, extra: Partial<Parameters<typeof service>[0]> = {}): Promise<string> {
    const spec = { loadBalancerSourceRanges: [ALLOWED.range] };
    await scene.apply(service({ namespace: scene.namespace, name, app: 'web', spec, ...extra }));
    const [address = ''] = await scene.addresses(name, 1);
    return address;
  }

  it('let in their clients and nobody else, and follow a change in place', async () => {
    const address = await restricted('direct');
    await untilAnswered(ALLOWED.name, address);
    await untilRefused(OTHER.name, address);
    await cluster().patch('service', 'direct', { spec: { loadBalancerSourceRanges: [OTHER.range] } }, scene.namespace);
    await untilAnswered(OTHER.name, address);
    await untilRefused(ALLOWED.name, address);
    await cluster().patch('service', 'direct', { spec: { loadBalancerSourceRanges: null } }, scene.namespace);
    await untilAnswered(ALLOWED.name, address);
    await untilAnswered(OTHER.name, address);
  });

  it('are kept at node ports too, where kube-proxy does not: on each director', async () => {
    const address = await restricted('masqueraded', { pool: 'masquerading' });
    for (const director of lab().directors) {
      await eventually(`the rule on ${director.name}`, async () => {
        const rules = await director.read('nft list table inet ipvs-operator-prod');
        assert.match(rules, /198\.51\.100\.11/);
        return true;
      });
    }
    await untilRefused(OTHER.name, address);
    await untilRefused('client', address);
  });

  it('are read from the annotation that came before the field', async () => {
    const annotations = { [ANNOTATION]: ALLOWED.range };
    const address = await restricted('annotated', { annotations, spec: {} });
    await untilAnswered(ALLOWED.name, address);
    await untilRefused(OTHER.name, address);
  });

  it('leave nothing behind', async () => {
    for (const name of ['direct', 'masqueraded', 'annotated']) await scene.remove('service', name);
    for (const director of lab().directors) {
      await eventually(`no rules on ${director.name}`, async () => {
        const tables = await director.read('nft list tables');
        assert.doesNotMatch(tables, /ipvs-operator/);
        return true;
      });
    }
    await untilClosed('203.0.113.220', 80);
  });
});

async function untilAnswered(client: ClientName, address: string): Promise<void> {
  await eventually(`${client} to be answered at ${address}`, async () => {
    const { status, error } = await lab().client(client).get(`http://${address}/hostname`, { timeoutMs: 2_000 });
    assert.equal(status, 200, error);
    return true;
  });
}

/** Twice in a row without any answer: what is dropped is silent. */
async function untilRefused(client: ClientName, address: string): Promise<void> {
  await eventually(`${client} to get no answer at ${address}`, async () => {
    for (let n = 0; n < 2; n += 1) {
      const { status } = await lab().client(client).get(`http://${address}/hostname`, { timeoutMs: 1_000 });
      assert.equal(status, 0, `status ${status}`);
    }
    return true;
  });
}
