import './hooks.ts';
import assert from 'node:assert/strict';
import { undisturbed } from './bystander.ts';
import { type StoredCondition, untilCondition, untilDescribed } from './described.ts';
import { eventually } from './eventually.ts';
import { tableOf, vipsOn } from './kernel.ts';
import { pool, service } from './manifests.ts';
import { Scene } from './scene.ts';
import { cluster, lab } from './world.ts';

/** A pool that the API server itself refuses, so that the user learns it from kubectl apply. */
const REFUSED: readonly { readonly name: string; readonly spec: Record<string, unknown>; readonly says: RegExp }[] = [
  {
    name: 'a range that is no range',
    spec: { addresses: ['203.0.113.300-'] },
    says: /'203\.0\.113\.300-' is not an address, a CIDR or a range/,
  },
  { name: 'no range at all', spec: { addresses: [] }, says: /spec\.addresses/ },
  {
    name: 'a reversed range',
    spec: { addresses: ['203.0.113.209-203.0.113.200'] },
    says: /'203\.0\.113\.209-203\.0\.113\.200' is reversed/,
  },
  {
    name: 'an unknown scheduler',
    spec: { addresses: ['203.0.113.200'], scheduler: 'fastest' },
    says: /spec\.scheduler: Unsupported value: "fastest"/,
  },
  {
    name: 'a flag of another scheduler',
    spec: { addresses: ['203.0.113.200'], scheduler: 'mh', schedulerFlags: ['sh-port'] },
    says: /sh-\* flags to scheduler sh/,
  },
  {
    name: 'an unknown flag',
    spec: { addresses: ['203.0.113.200'], schedulerFlags: ['mh-quick'] },
    says: /spec\.schedulerFlags\[0\]: Unsupported value: "mh-quick"/,
  },
];

/** A pool that is stored, and says in its status what is wrong. */
const STORED: readonly {
  readonly name: string;
  readonly spec: Record<string, unknown>;
  readonly reason: string;
  /** The reason of a condition of a Service that asks for the pool. */
  readonly service: string;
  readonly says: RegExp;
}[] = [
  {
    name: 'reversed',
    spec: { addresses: ['2001:db8:113::2f-2001:db8:113::20'] },
    reason: 'InvalidSpec',
    service: 'PoolNotFound',
    says: /2001:db8:113::2f-2001:db8:113::20/,
  },
  {
    name: 'excluded',
    spec: { addresses: ['203.0.113.200'], excludedAddresses: ['203.0.113.192/26'] },
    reason: 'InvalidSpec',
    service: 'PoolNotFound',
    says: /excludedAddresses/,
  },
  {
    name: 'overlapping',
    spec: { addresses: ['203.0.113.15-203.0.113.17'] },
    reason: 'Conflict',
    service: 'PoolConflict',
    says: /also belong to the earlier LoadBalancerPool public \(203\.0\.113\.15-203\.0\.113\.17\)/,
  },
  {
    name: 'matchless',
    spec: { addresses: ['203.0.113.200'], directors: { selector: { matchLabels: { site: 'nowhere' } } } },
    reason: 'NoDirectorSelected',
    service: 'NoDirectorSelected',
    says: /matches no Director/,
  },
];

describe('bad input in a LoadBalancerPool', function () {
  this.timeout(120_000);
  let scene: Scene;

  before(async () => {
    scene = await Scene.open('bad-pools');
    await scene.app('web', { replicas: 2 });
  });
  after(() => scene.close());

  for (const { name, spec, says } of REFUSED) {
    it(`${name} is refused by the API server`, () =>
      undisturbed(async () => {
        assert.match(await cluster().refusal(pool('refused', spec)), says);
        assert.equal(await cluster().get('lbpool', 'refused'), undefined);
      }));
  }

  for (const { name, spec, reason, service: serviceReason, says } of STORED) {
    it(`${name}: pool and Service say so, no address is given, and nothing reaches a director`, () =>
      undisturbed(async () => {
        const tables = await Promise.all(lab().directors.map(tableOf));
        await scene.apply(pool(name, spec));
        await untilCondition('lbpool', name, 'Ready', 'False', { reason });
        await untilDescribed('lbpool', name, says);
        await scene.apply(service({ namespace: scene.namespace, name, app: 'web', pool: name }));
        await eventually(`Service ${name} to say ${serviceReason}`, async () => {
          const { status } = await cluster().get('service', name, scene.namespace);
          const reasons = (status.conditions ?? []).map((condition: StoredCondition) => condition.reason);
          assert.ok(reasons.includes(serviceReason), `the reasons of its conditions are ${reasons.join(', ')}`);
          return true;
        });
        await untilDescribed('service', name, new RegExp(`Warning .*${name}`), scene.namespace);
        assert.deepEqual((await cluster().get('service', name, scene.namespace)).status.loadBalancer, {});
        assert.deepEqual(await Promise.all(lab().directors.map(tableOf)), tables);
        await scene.remove('service', name);
        await cluster().kubectl('delete', 'lbpool', name);
      }));
  }

  it('exhausted: the second Service is told, and served as soon as an address is free', () =>
    undisturbed(async () => {
      await scene.apply(pool('tiny', { addresses: ['203.0.113.120'] }));
      await scene.apply(service({ namespace: scene.namespace, name: 'early', app: 'web', pool: 'tiny' }));
      assert.deepEqual(await scene.addresses('early', 1), ['203.0.113.120']);
      await scene.apply(service({ namespace: scene.namespace, name: 'late', app: 'web', pool: 'tiny' }));
      await untilDescribed('service', 'late', /Warning +AllocationFailed .*tiny/, scene.namespace);
      await untilDescribed('lbpool', 'tiny', /All addresses are given/);
      await untilCondition('lbpool', 'tiny', 'AddressesAvailable', 'False', { reason: 'Exhausted' });
      await scene.remove('service', 'early');
      assert.deepEqual(await scene.addresses('late', 1), ['203.0.113.120']);
      await scene.remove('service', 'late');
    }));

  it('addresses that the policy of the host forbids: the Service, the pool and the director name the rule', () =>
    undisturbed(async () => {
      await scene.apply(pool('forbidden', { addresses: [FORBIDDEN] }));
      await scene.apply(service({ namespace: scene.namespace, name: 'forbidden', app: 'web', pool: 'forbidden' }));
      await untilDescribed('service', 'forbidden', /Warning .*policy/, scene.namespace);
      for (const director of lab().directors) {
        await untilDescribed('director', director.name, /policy.*Reason: +PolicyDenied/);
        assert.ok(![...(await tableOf(director)).keys()].some((key) => key.includes(FORBIDDEN)));
        assert.ok(!(await vipsOn(director)).includes(FORBIDDEN));
      }
      assert.deepEqual((await cluster().get('service', 'forbidden', scene.namespace)).status.loadBalancer, {});
      await scene.remove('service', 'forbidden');
    }));
});

/** In no range that the policy files of the directors grant. */
const FORBIDDEN = '198.51.100.200';
