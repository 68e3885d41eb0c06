import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { type ApiClient, createApiClient } from '../../../operator/kube/api-client.ts';
import { loadKubeConfig, type OpKubeConfig } from '../../../operator/kube/kube-config.ts';
import { isKubeObject } from '../../../operator/kube/kube-object.ts';
import { parseService } from '../../../operator/kube/parse-service.ts';
import { createClusterWriter } from '../../../operator/kube/write-status.ts';
import type { IpAddress } from '../../../operator/model/ip-address.ts';
import type { LoadBalancedService } from '../../../operator/model/load-balanced-service.ts';
import { LOAD_BALANCER_CLASS, POOL_FINALIZER, SERVICE_CONDITION } from '../../../operator/model/names.ts';
import { systemClock } from '../../../operator/observe/system-clock.ts';
import { FakeLog } from '../../fakes/fake-log.ts';
import { type ControlPlane, startControlPlane } from '../control-plane.ts';

const CRDS = new URL('../../../crds', import.meta.url).pathname;
const PROGRAM = new URL('../../../operator/cli/kubectl-ipvs.ts', import.meta.url).pathname;
const PATH = '/api/v1/namespaces/default/services/web';
const POOL = {
  apiVersion: 'ipvs-operator.io/v1alpha1',
  kind: 'LoadBalancerPool',
  metadata: { name: 'public' },
  spec: {
    addresses: ['203.0.113.0/28'],
    reservations: [{ address: '203.0.113.3', service: 'shop/api' }],
    directors: { selector: {} },
  },
};
const SERVICE = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web' },
  spec: { type: 'LoadBalancer', loadBalancerClass: LOAD_BALANCER_CLASS, ports: [{ port: 80 }] },
};

describe('kubectl ipvs who, against a real API server', function () {
  this.timeout(120_000);
  let plane: ControlPlane;
  let config: OpKubeConfig;
  let api: ApiClient;

  before(async () => {
    plane = await startControlPlane();
    await plane.kubectl(['apply', '-k', CRDS]);
    await plane.kubectl(['wait', '--for=condition=Established', 'crd', '--all']);
    for (const object of [POOL, SERVICE]) await plane.kubectl(['apply', '-f', '-'], JSON.stringify(object));
    config = loadKubeConfig({ kubeconfig: plane.kubeconfig, userAgent: 'test' });
    api = createApiClient(config);
    const cache = { stored: () => undefined, reread: () => {} };
    const writer = createClusterWriter({ api, clock: systemClock, log: new FakeLog(), cache });
    const ip = '203.0.113.2' as IpAddress;
    assert.equal((await writer.claimService(await web(), { pool: 'public', addresses: [ip] })).kind, 'written');
    const conditions = [
      { type: SERVICE_CONDITION.addressAssigned, status: 'True', reason: 'Assigned', message: 'It has it.' },
      {
        type: SERVICE_CONDITION.programmed,
        status: 'True',
        reason: 'Programmed',
        message: 'Programmed on director lb-1.',
      },
    ] as const;
    const status = { ingress: [{ ip, ipMode: 'VIP' as const }], conditions };
    assert.equal((await writer.writeServiceStatus(await web(), status)).kind, 'written');
    assert.equal((await writer.markPool('public', true)).kind, 'written');
    assert.equal((await writer.markPool('public', true)).kind, 'unchanged');
  });

  after(async () => {
    await config?.close();
    await plane?.stop();
  });

  async function web(): Promise<LoadBalancedService> {
    const answer = await api.get(PATH);
    assert.ok(answer.ok && isKubeObject(answer.body));
    const service = parseService(answer.body, { claimUnclassed: false });
    assert.ok(service);
    return service;
  }

  function ask(...args: string[]): Promise<{ code: number; out: string; err: string }> {
    const command = [PROGRAM, 'who', '--kubeconfig', plane.kubeconfig, ...args];
    return new Promise((resolve) => {
      execFile(process.execPath, command, (error, out, err) => resolve({ code: Number(error?.code ?? 0), out, err }));
    });
  }

  it('names the Service, its pool, since when, and the directors', async () => {
    const { code, out } = await ask('203.0.113.2');
    assert.equal(code, 0);
    assert.match(
      out,
      /Service default\/web has it, from LoadBalancerPool public, since \d{4}-.*Z\. Programmed on director lb-1\./,
    );
  });

  it('says for whom an address is reserved, where one is free, and which is outside', async () => {
    assert.match((await ask('203.0.113.3')).out, /reserved for Service shop\/api in LoadBalancerPool public/);
    assert.match((await ask('203.0.113.4')).out, /Nobody: it is free in LoadBalancerPool public\./);
    assert.match((await ask('198.51.100.1')).out, /Nobody: it is outside every pool\./);
  });

  it('answers programs in JSON', async () => {
    const { holders, pools } = JSON.parse((await ask('203.0.113.2', '-o', 'json')).out);
    assert.deepEqual([holders[0].service, holders[0].state, pools], ['default/web', 'Given', ['public']]);
  });

  it('explains a mistake in the command, and a cluster that cannot be read', async () => {
    const wrong = await ask('203.0.113.002');
    assert.deepEqual([wrong.code, /is not an address/.test(wrong.err)], [2, true]);
    const unread = await ask('203.0.113.2', '--kubeconfig', plane.kubeconfigFor('nobody'));
    assert.deepEqual([unread.code, unread.out], [1, '']);
    assert.match(unread.err, /^kubectl ipvs: .*Unauthorized/);
  });

  it('finds the finalizer of the pool where it was put, and a deleted pool waits for it', async () => {
    const marked = await plane.kubectl(['get', 'lbpool', 'public', '--output=jsonpath={.metadata.finalizers}']);
    assert.equal(marked, `["${POOL_FINALIZER}"]`);
    await plane.kubectl(['delete', 'lbpool', 'public', '--wait=false']);
    const deleting = await plane.kubectl([
      'get',
      'lbpool',
      'public',
      '--output=jsonpath={.metadata.deletionTimestamp}',
    ]);
    assert.match(deleting, /^\d{4}-/);
  });
});
