import './hooks.ts';
import assert from 'node:assert/strict';
import { undisturbed } from './bystander.ts';
import { untilCondition, untilDescribed } from './described.ts';
import { tableOf, vipsOn } from './kernel.ts';
import { type Manifest, pool, service } from './manifests.ts';
import { Scene } from './scene.ts';
import { cluster, lab } from './world.ts';

/** A pool that the API server itself refuses, so that the user learns it from kubectl apply. */
const REFUSED: readonly { readonly name: string; readonly spec: Record<string, unknown>; readonly says: RegExp }[] = [
  { name: 'a range that is no range', spec: { addresses: ['203.0.113.300-'] }, says: /addresses/ },
  { name: 'no range at all', spec: { addresses: [] }, says: /addresses/ },
  { name: 'an unknown scheduler', spec: { addresses: ['203.0.113.200'], scheduler: 'fastest' }, says: /scheduler/ },
  {
    name: 'a flag of another scheduler',
    spec: { addresses: ['203.0.113.200'], scheduler: 'mh', schedulerFlags: ['sh-port'] },
    says: /schedulerFlags|sh-port/,
  },
  {
    name: 'an unknown flag',
    spec: { addresses: ['203.0.113.200'], schedulerFlags: ['mh-quick'] },
    says: /schedulerFlags|mh-quick/,
  },
];

/** A pool that is stored, and says in its status what is wrong. */
const STORED: readonly {
  readonly name: string;
  readonly spec: Record<string, unknown>;
  readonly reason: string;
  readonly says: RegExp;
}[] = [
  {
    name: 'reversed',
    spec: { addresses: ['203.0.113.209-203.0.113.200'] },
    reason: 'InvalidSpec',
    says: /203\.0\.113\.209-203\.0\.113\.200/,
  },
  {
    name: 'overlapping',
    spec: { addresses: ['203.0.113.15-203.0.113.17'] },
    reason: 'Conflict',
    says: /also belong to the earlier LoadBalancerPool public \(203\.0\.113\.15-203\.0\.113\.17\)/,
  },
  {
    name: 'matchless',
    spec: { addresses: ['203.0.113.200'], directors: { selector: { matchLabels: { site: 'nowhere' } } } },
    reason: 'NoDirectorSelected',
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

  for (const { name, spec, reason, says } of STORED) {
    it(`${name}: the pool says so, gives no address, and nothing reaches a director`, () =>
      undisturbed(async () => {
        const manifest = pool(name, spec);
        const stored = await appliedOrRefused(manifest);
        if (stored !== undefined) {
          assert.match(stored, new RegExp(`${says.source}|addresses`));
          return;
        }
        const tables = await Promise.all(lab().directors.map(tableOf));
        await untilCondition('lbpool', name, 'Ready', 'False', { reason });
        await untilDescribed('lbpool', name, says);
        await scene.apply(service({ namespace: scene.namespace, name, app: 'web', pool: name }));
        await untilDescribed('service', name, new RegExp(`Programmed.*|AddressAssigned.*${name}`), scene.namespace);
        assert.deepEqual((await cluster().get('service', name, scene.namespace)).status.loadBalancer, {});
        assert.deepEqual(await Promise.all(lab().directors.map(tableOf)), tables);
        await scene.remove('service', name);
        await cluster().kubectl('delete', 'lbpool', name);
      }));
  }

  /** undefined when it was stored. */
  async function appliedOrRefused(manifest: Manifest): Promise<string | undefined> {
    try {
      await scene.apply(manifest);
      return undefined;
    } catch (refused) {
      return String(refused);
    }
  }

  it('exhausted: the second Service is told, and served as soon as an address is free', () =>
    undisturbed(async () => {
      await scene.apply(pool('tiny', { addresses: ['203.0.113.120'] }));
      await scene.apply(service({ namespace: scene.namespace, name: 'early', app: 'web', pool: 'tiny' }));
      assert.deepEqual(await scene.addresses('early', 1), ['203.0.113.120']);
      await scene.apply(service({ namespace: scene.namespace, name: 'late', app: 'web', pool: 'tiny' }));
      await untilDescribed('service', 'late', /AddressAssigned.*PoolExhausted.*tiny/, scene.namespace);
      await untilDescribed('service', 'late', /Warning +AllocationFailed/, scene.namespace);
      await untilDescribed('lbpool', 'tiny', /AddressesAvailable.*|Exhausted/);
      await untilCondition('lbpool', 'tiny', 'AddressesAvailable', 'False', { reason: 'Exhausted' });
      await scene.remove('service', 'early');
      assert.deepEqual(await scene.addresses('late', 1), ['203.0.113.120']);
      await scene.remove('service', 'late');
    }));

  it('addresses that the policy of the host forbids: the Service, the pool and the director name the rule', () =>
    undisturbed(async () => {
      await scene.apply(pool('forbidden', { addresses: [FORBIDDEN] }));
      await scene.apply(service({ namespace: scene.namespace, name: 'forbidden', app: 'web', pool: 'forbidden' }));
      await untilDescribed('service', 'forbidden', /Programmed.*DirectorFailed.*policy/, scene.namespace);
      for (const director of lab().directors) {
        await untilDescribed('director', director.name, /InSync.*PolicyDenied.*policy/);
        assert.ok(![...(await tableOf(director)).keys()].some((key) => key.includes(FORBIDDEN)));
        assert.ok(!(await vipsOn(director)).includes(FORBIDDEN));
      }
      assert.deepEqual((await cluster().get('service', 'forbidden', scene.namespace)).status.loadBalancer, {});
      await scene.remove('service', 'forbidden');
      for (const { name } of lab().directors) await untilCondition('director', name, 'InSync', 'True');
    }));
});

/** Routed to the directors, but in no range that their policy files grant. */
const FORBIDDEN = '203.0.113.250';
