import './hooks.ts';
import assert from 'node:assert/strict';
import { answeringPods } from './answers.ts';
import { undisturbed } from './bystander.ts';
import { untilCondition, untilDescribed } from './described.ts';
import { eventually } from './eventually.ts';
import { type KernelEntry, tableOf, untilOnDirectors, vipsOn } from './kernel.ts';
import { pool, service } from './manifests.ts';
import { Scene } from './scene.ts';
import { cluster, lab, world } from './world.ts';

const GROUP = 'ipvs-operator.io';
/** What somebody else changes is put right at most once a minute. */
const AFTER_THE_PAUSE = { timeoutMs: 120_000 };
const FINALIZERS = ['service.kubernetes.io/load-balancer-cleanup', `${GROUP}/load-balancer-cleanup`];

/** What a tenant may try with the rights that tenants have (and some that they should not have): it fails, is visible, and changes nothing. */
describe('attacks of a tenant', function () {
  this.timeout(180_000);
  let scene: Scene;

  before(async () => {
    scene = await Scene.open('attacks');
    await scene.app('web', { replicas: 2 });
  });
  after(() => scene.close());

  /** The keys in both kernels; what a real server's weight is does not matter here. */
  const keys = () => Promise.all(lab().directors.map(async (director) => [...(await tableOf(director)).keys()].sort()));
  const stored = (name: string) => cluster().get('service', name, scene.namespace);
  const victim = () => world().bystander;
  // Another port than the victim's, because kube-proxy on the nodes obeys what stands in a Service, and port 80 would reach it.
  const PORT_81 = [{ name: 'http', protocol: 'TCP', port: 81, targetPort: 8080 }];

  it('1: an address of another as externalIPs is neither programmed nor published', () =>
    undisturbed(async () => {
      const spec = { externalIPs: [victim().address] };
      await scene.apply(service({ namespace: scene.namespace, name: 'thief', app: 'web', ports: PORT_81, spec }));
      const [own = ''] = await scene.addresses('thief', 1);
      assert.notEqual(own, victim().address);
      await untilOnDirectors(`TCP ${own}:81`, { scheduler: 'mh' });
      await untilOnDirectors(`TCP ${victim().address}:81`, 'absent');
      await scene.remove('service', 'thief');
    }));

  it('2: an address of another in the status is taken out again, told, and not programmed', () =>
    undisturbed(async () => {
      await scene.apply(service({ namespace: scene.namespace, name: 'thief', app: 'web', ports: PORT_81 }));
      const [own = ''] = await scene.addresses('thief', 1);
      const status = { loadBalancer: { ingress: [{ ip: victim().address }, { ip: own }] } };
      const patch = JSON.stringify({ status });
      await cluster().kubectl(
        'patch',
        'service',
        'thief',
        '-n',
        scene.namespace,
        '--subresource=status',
        '--type=merge',
        '-p',
        patch,
      );
      assert.deepEqual(await scene.addresses('thief', 1), [own]);
      await untilDescribed(
        'service',
        'thief',
        new RegExp(`(UpdatedLoadBalancer|StatusRewritten).*${victim().address}`),
        scene.namespace,
      );
      await untilOnDirectors(`TCP ${victim().address}:81`, 'absent');
      await scene.remove('service', 'thief');
    }));

  for (const [way, wish] of [
    ['by annotation', (address: string) => ({ annotations: { [`${GROUP}/loadBalancerIPs`]: address } })],
    ['by spec.loadBalancerIP', (address: string) => ({ spec: { loadBalancerIP: address } })],
  ] as const) {
    it(`3: an address of another asked for ${way} is refused and the Service told`, () =>
      undisturbed(async () => {
        const before = await keys();
        await scene.apply(
          service({ namespace: scene.namespace, name: 'thief', app: 'web', ports: PORT_81, ...wish(victim().address) }),
        );
        await untilDescribed('service', 'thief', /Warning +AllocationFailed .*is in use/, scene.namespace);
        assert.deepEqual((await stored('thief')).status.loadBalancer, {});
        assert.deepEqual(await keys(), before);
        await scene.remove('service', 'thief');
      }));
  }

  it('4: a sharing key that is guessed in another namespace opens nothing, and names nobody', () =>
    undisturbed(async () => {
      const neighbour = await Scene.open('neighbour');
      try {
        const key = { [`${GROUP}/allow-shared-ip`]: 'guessed' };
        await neighbour.apply(service({ namespace: neighbour.namespace, name: 'owner', annotations: key }));
        const [address = ''] = await neighbour.addresses('owner', 1);
        const before = await keys();
        const annotations = { ...key, [`${GROUP}/loadBalancerIPs`]: address };
        await scene.apply(
          service({ namespace: scene.namespace, name: 'thief', app: 'web', ports: PORT_81, annotations }),
        );
        const text = await untilDescribed(
          'service',
          'thief',
          /Warning +AllocationFailed .*another namespace/,
          scene.namespace,
        );
        assert.ok(!text.includes(neighbour.namespace), text);
        assert.deepEqual(await keys(), before);
        assert.deepEqual(await neighbour.addresses('owner', 1), [address]);
        await scene.remove('service', 'thief');
      } finally {
        await neighbour.close();
      }
    }));

  it('5: a namespace that has its quota gets no more, by asking either, and another namespace is served', () =>
    undisturbed(async () => {
      await scene.apply(
        pool('quota', { addresses: ['203.0.113.240-203.0.113.242'], serviceAllocation: { quotaPerNamespace: 1 } }),
      );
      await scene.apply(service({ namespace: scene.namespace, name: 'greedy-1', app: 'web', pool: 'quota' }));
      const [first = ''] = await scene.addresses('greedy-1', 1);
      const before = await keys();
      const spec = { loadBalancerIP: '203.0.113.242' };
      await scene.apply(service({ namespace: scene.namespace, name: 'greedy-2', app: 'web', pool: 'quota' }));
      await scene.apply(service({ namespace: scene.namespace, name: 'greedy-3', app: 'web', pool: 'quota', spec }));
      for (const name of ['greedy-2', 'greedy-3']) {
        await untilCondition('service', name, `${GROUP}/AddressAssigned`, 'False', {
          reason: 'QuotaExceeded',
          namespace: scene.namespace,
        });
        await untilDescribed('service', name, /Warning +AllocationFailed/, scene.namespace);
      }
      assert.deepEqual(await keys(), before);
      const neighbour = await Scene.open('quota-neighbour');
      try {
        await neighbour.apply(service({ namespace: neighbour.namespace, name: 'modest', pool: 'quota' }));
        await neighbour.addresses('modest', 1);
      } finally {
        await neighbour.close();
      }
      assert.deepEqual(await scene.addresses('greedy-1', 1), [first]);
      for (const name of ['greedy-1', 'greedy-2', 'greedy-3']) await scene.remove('service', name);
    }));

  it('7: an address that was just freed is held for its Service, and cannot be grabbed', () =>
    undisturbed(async () => {
      await scene.apply(pool('held', { addresses: ['203.0.113.244'], releaseDelay: '1h' }));
      const neighbour = await Scene.open('held-neighbour');
      try {
        await neighbour.apply(service({ namespace: neighbour.namespace, name: 'owner', pool: 'held' }));
        await neighbour.addresses('owner', 1);
        await neighbour.remove('service', 'owner');
        await scene.apply(service({ namespace: scene.namespace, name: 'thief', app: 'web', pool: 'held' }));
        await untilDescribed('service', 'thief', /Warning +AllocationFailed/, scene.namespace);
        await untilOnDirectors('TCP 203.0.113.244:80', 'absent');
        await neighbour.apply(service({ namespace: neighbour.namespace, name: 'owner', pool: 'held' }));
        assert.deepEqual(await neighbour.addresses('owner', 1), ['203.0.113.244']);
        assert.deepEqual((await stored('thief')).status.loadBalancer, {});
        await scene.remove('service', 'thief');
      } finally {
        await neighbour.close();
      }
    }));

  it('9: a port of a shared address stays with who has it, per protocol', () =>
    undisturbed(async () => {
      const annotations = { [`${GROUP}/allow-shared-ip`]: 'ours', [`${GROUP}/loadBalancerIPs`]: '203.0.113.250' };
      await scene.apply(pool('shared', { addresses: ['203.0.113.250'] }));
      const share = (name: string, ports: readonly object[]) =>
        scene.apply(service({ namespace: scene.namespace, name, app: 'web', pool: 'shared', annotations, ports }));
      await share('owner', [{ name: 'http', protocol: 'TCP', port: 80, targetPort: 8080 }]);
      await scene.addresses('owner', 1);
      await share('thief', [{ name: 'http', protocol: 'TCP', port: 80, targetPort: 9999 }]);
      await untilDescribed('service', 'thief', /Warning +AllocationFailed .*TCP\/80/, scene.namespace);
      await answeringPods('TCP', 'client', '203.0.113.250', 2);
      await share('thief', [{ name: 'udp', protocol: 'UDP', port: 80, targetPort: 8081 }]);
      await scene.addresses('thief', 1);
      await untilOnDirectors('UDP 203.0.113.250:80', { scheduler: 'mh' });
      await answeringPods('TCP', 'client', '203.0.113.250', 2);
      await scene.remove('service', 'thief');
      await untilOnDirectors('UDP 203.0.113.250:80', 'absent');
      await answeringPods('TCP', 'client', '203.0.113.250', 2);
      await scene.remove('service', 'owner');
    }));

  it('6: a label that flips moves no address, and opens no pool for what is there', () =>
    undisturbed(async () => {
      const serviceAllocation = { serviceSelectors: [{ matchLabels: { role: 'edge' } }] };
      await scene.apply(pool('edge', { addresses: ['203.0.113.220'], autoAssign: true, serviceAllocation }));
      await scene.apply(service({ namespace: scene.namespace, name: 'plain', app: 'web' }));
      const [address = ''] = await scene.addresses('plain', 1);
      const before = await keys();
      await cluster().kubectl('label', 'service', 'plain', '-n', scene.namespace, 'role=edge');
      await scene.apply(service({ namespace: scene.namespace, name: 'later', app: 'web' }));
      await scene.addresses('later', 1);
      await scene.remove('service', 'later');
      assert.deepEqual(await scene.addresses('plain', 1), [address]);
      assert.deepEqual(await keys(), before);
      await scene.remove('service', 'plain');
    }));

  it('8: a Service of the same name with another uid starts anew, and nothing of the old one is left', () =>
    undisturbed(async () => {
      await scene.apply(service({ namespace: scene.namespace, name: 'again', app: 'web' }));
      const [first = ''] = await scene.addresses('again', 1);
      const { uid } = (await stored('again')).metadata;
      await cluster().kubectl('delete', 'service', 'again', '-n', scene.namespace, '--wait=false');
      await eventually('the old Service to be gone', async () => (await stored('again')) === undefined);
      await scene.apply(service({ namespace: scene.namespace, name: 'again', app: 'web', ports: PORT_81 }));
      const [second = ''] = await scene.addresses('again', 1);
      assert.notEqual((await stored('again')).metadata.uid, uid);
      await untilOnDirectors(`TCP ${second}:81`, { scheduler: 'mh' });
      await untilOnDirectors(`TCP ${first}:80`, 'absent');
      await scene.remove('service', 'again');
    }));

  it('10: the address of a node or of a director is never a VIP, and the pool says so', () =>
    undisturbed(async () => {
      const node = await cluster().list('nodes');
      const address: string = node[0].status.addresses.find(
        ({ type }: { type: string }) => type === 'InternalIP',
      ).address;
      const director = (await cluster().get('director', lab().directors[0]?.name ?? '')).spec.address;
      const before = await keys();
      await scene.apply(pool('lan', { addresses: [address, director, '203.0.113.221'] }));
      for (const [name, wish] of Object.entries({ 'as-node': address, 'as-director': director })) {
        const spec = { loadBalancerIP: wish };
        await scene.apply(service({ namespace: scene.namespace, name, app: 'web', pool: 'lan', spec }));
        await untilDescribed('service', name, /Warning +AllocationFailed .*excluded/, scene.namespace);
      }
      const { message } = await untilCondition('lbpool', 'lan', 'HostAddresses', 'True', {
        reason: 'HostAddressExcluded',
      });
      assert.match(message, new RegExp(`${address} belongs to node `));
      assert.match(message, new RegExp(`${director} belongs to director `));
      assert.deepEqual(await keys(), before);
      for (const vm of lab().directors) assert.ok(!(await vipsOn(vm)).includes(address));
      await scene.remove('service', 'as-node');
      await scene.remove('service', 'as-director');
    }));

  it('11: a flood of Services with long port lists does not keep another namespace waiting', () =>
    undisturbed(async () => {
      const flood = await Scene.open('flood');
      try {
        const ports = Array.from({ length: 60 }, (_, index) => ({
          name: `p${index}`,
          port: 8000 + index,
          protocol: 'TCP',
        }));
        // Node ports would run out first.
        const spec = { allocateLoadBalancerNodePorts: false };
        await scene.apply(pool('flood', { addresses: ['203.0.113.224/28'] }));
        await flood.apply(
          ...Array.from({ length: 40 }, (_, index) =>
            service({ namespace: flood.namespace, name: `flood-${index}`, pool: 'flood', ports, spec }),
          ),
        );
        await scene.apply(service({ namespace: scene.namespace, name: 'calm', app: 'web' }));
        const [address = ''] = await scene.addresses('calm', 1);
        await answeringPods('TCP', 'client', address, 2);
        await untilDescribed('service', 'flood-39', /AllocationFailed|EnsuredLoadBalancer/, flood.namespace);
        await scene.remove('service', 'calm');
      } finally {
        await flood.close();
      }
    }));

  it('12: a forged EndpointSlice puts no host into a table that is no node', () =>
    undisturbed(async () => {
      const spec = { externalTrafficPolicy: 'Local', selector: null };
      await scene.apply(service({ namespace: scene.namespace, name: 'forged', spec }));
      const [address = ''] = await scene.addresses('forged', 1);
      const director = (await cluster().get('director', lab().directors[0]?.name ?? '')).spec.address;
      const endpoints = [
        { addresses: [director], nodeName: 'no-such-node' },
        { addresses: ['192.0.2.10'], conditions: { ready: true } },
        { addresses: ['198.51.100.10'], nodeName: 'client' },
      ];
      await scene.apply({
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { name: 'forged', namespace: scene.namespace, labels: { 'kubernetes.io/service-name': 'forged' } },
        addressType: 'IPv4',
        ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
        endpoints,
      });
      await scene.apply(service({ namespace: scene.namespace, name: 'next', app: 'web' }));
      await scene.addresses('next', 1);
      await untilOnDirectors(`TCP ${address}:80`, { realServers: [], draining: [] });
      await scene.remove('service', 'next');
      await scene.remove('service', 'forged');
      await cluster().kubectl('delete', 'endpointslice', 'forged', '-n', scene.namespace, '--ignore-not-found');
    }));

  it('13: finalizers taken off come back; put on a Service that is not ours they do nothing', () =>
    undisturbed(async () => {
      await scene.apply(service({ namespace: scene.namespace, name: 'games', app: 'web' }));
      const [address = ''] = await scene.addresses('games', 1);
      const before: readonly (KernelEntry | undefined)[] = await entries(`TCP ${address}:80`);
      await cluster().patch('service', 'games', { metadata: { finalizers: null } }, scene.namespace);
      await eventually(
        'the finalizers to be back',
        async () => {
          assert.deepEqual(
            [...((await stored('games')).metadata.finalizers ?? [])].map(String).sort(),
            [...FINALIZERS].sort(),
          );
          return true;
        },
        AFTER_THE_PAUSE,
      );
      assert.deepEqual(await entries(`TCP ${address}:80`), before);
      assert.deepEqual(await scene.addresses('games', 1), [address]);
      const other = service({
        namespace: scene.namespace,
        name: 'not-ours',
        app: 'web',
        spec: { type: 'ClusterIP', loadBalancerClass: null },
      });
      await scene.apply({ ...other, metadata: { ...other.metadata, finalizers: [FINALIZERS[1] ?? ''] } });
      await cluster().kubectl('delete', 'service', 'not-ours', '-n', scene.namespace, '--wait=false');
      await cluster().patch('service', 'not-ours', { metadata: { finalizers: null } }, scene.namespace);
      await eventually('the other Service to be gone', async () => (await stored('not-ours')) === undefined);
      assert.deepEqual(await entries(`TCP ${address}:80`), before);
      await scene.remove('service', 'games');
      await untilOnDirectors(`TCP ${address}:80`, 'absent');
    }));

  it('13: a Service whose finalizers are taken off in the moment of its deletion leaves nothing on a director', () =>
    undisturbed(async () => {
      await scene.apply(service({ namespace: scene.namespace, name: 'forced', app: 'web' }));
      const [address = ''] = await scene.addresses('forced', 1);
      await cluster().kubectl('delete', 'service', 'forced', '-n', scene.namespace, '--wait=false');
      await cluster()
        .patch('service', 'forced', { metadata: { finalizers: null } }, scene.namespace)
        .catch((cause: Error) => assert.match(cause.message, /not found/i));
      await untilOnDirectors(`TCP ${address}:80`, 'absent');
    }));

  const WORDS: readonly (readonly [what: string, text: string])[] = [
    ['a newline and a forged line', '203.0.113.5\nWarning  Forged  everything is lost'],
    ['an escape sequence', '203.0.113.5\u001b[31m'],
    ['digits of another script', '２０３.0.113.5'],
    ['an IPv4-mapped address', '::ffff:203.0.113.5'],
    ['leading zeros', '203.0.113.005'],
    ['a zone', 'fe80::1%eth0'],
    ['200,000 characters', 'x'.repeat(200_000)],
    ['50,000 commas and words', 'x,'.repeat(50_000)],
  ];
  for (const [index, [what, text]] of WORDS.entries()) {
    it(`14: an annotation with ${what} is refused in one plain line`, () =>
      undisturbed(async () => {
        const before = await keys();
        const name = `words-${index}`;
        const annotations = { [`${GROUP}/loadBalancerIPs`]: text };
        await cluster().create(service({ namespace: scene.namespace, name, app: 'web', annotations }));
        const { message } = await untilCondition('service', name, `${GROUP}/AddressAssigned`, 'False', {
          reason: 'InvalidRequest',
          namespace: scene.namespace,
        });
        assert.match(message, /^[^\p{Cc}\p{Cf}]{1,2000}$/u);
        assert.match(message, /ipvs-operator\.io\/loadBalancerIPs: ".*" is not an IP address/);
        assert.deepEqual(await keys(), before);
        await scene.remove('service', name);
      }));
  }

  async function entries(key: string): Promise<readonly (KernelEntry | undefined)[]> {
    return Promise.all(lab().directors.map(async (director) => (await tableOf(director)).get(key)));
  }
});
