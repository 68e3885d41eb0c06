import './hooks.ts';
import assert from 'node:assert/strict';
import { OPERATOR_NAMESPACE } from '../lab/lab.ts';
import { ed25519KeyPair } from '../lab/ssh-key.ts';
import { undisturbed } from './bystander.ts';
import { untilCondition, untilDescribed } from './described.ts';
import { placesOf } from './installation.ts';
import { director, type Manifest, pool, secret, service } from './manifests.ts';
import { Scene } from './scene.ts';
import { Strangers } from './strangers.ts';
import { cluster, lab } from './world.ts';

/**
 * Each case is one Director object that cannot work. It carries the pool `hopeless` alone, so that the pool and a Service of it have to say why
 * nothing works, while the real directors and their Services go on.
 */
describe('bad input in a Director', function () {
  this.timeout(150_000);
  let scene: Scene;
  let strangers: Strangers;

  before(async () => {
    scene = await Scene.open('bad-directors');
    strangers = await Strangers.start(lab());
    await scene.app('web', { replicas: 2 });
    await scene.apply(
      pool('hopeless', {
        addresses: ['203.0.113.130-203.0.113.149'],
        directors: { selector: { matchLabels: { site: 'hopeless' } } },
      }),
    );
  });
  afterEach(async () => {
    await cluster().kubectl('delete', 'director', 'hopeless', '--timeout=40s', '--ignore-not-found');
    const secrets = ['hopeless-key', 'opaque-key'];
    await cluster().kubectl('delete', 'secret', '-n', OPERATOR_NAMESPACE, ...secrets, '--ignore-not-found');
  });
  after(async () => {
    await scene.close();
    await strangers.stop();
  });

  const cases: readonly {
    readonly name: string;
    readonly objects: () => readonly Manifest[];
    readonly reason: string;
    readonly says: RegExp;
  }[] = [
    {
      name: 'missing Secret',
      objects: () => [hopeless({ credentials: { secretName: 'no-such-secret' } })],
      reason: 'SecretMissing',
      says: /There is no Secret ipvs-system\/no-such-secret/,
    },
    {
      name: 'Secret without a private key in it',
      objects: () => [
        keySecret('hopeless-key', 'not a key'),
        hopeless({ credentials: { secretName: 'hopeless-key' } }),
      ],
      reason: 'SecretUnreadable',
      says: /holds no private key under ssh-privatekey/,
    },
    {
      name: 'Secret with a damaged private key',
      objects: () => [
        keySecret('hopeless-key', ed25519KeyPair('damaged').private.replace(/\n[^-\n]+\n/, '\n')),
        hopeless({ credentials: { secretName: 'hopeless-key' } }),
      ],
      reason: 'BadPrivateKey',
      says: /private key in its Secret cannot be used/,
    },
    {
      name: 'Secret of another type',
      objects: () => [
        secret({ namespace: OPERATOR_NAMESPACE, name: 'opaque-key', type: 'Opaque', data: { 'ssh-privatekey': 'x' } }),
        hopeless({ credentials: { secretName: 'opaque-key' } }),
      ],
      reason: 'SecretMissing',
      says: /no Secret ipvs-system\/opaque-key of type kubernetes\.io\/ssh-auth/,
    },
    {
      name: 'key that the host does not know',
      objects: () => [
        keySecret('hopeless-key', ed25519KeyPair('a stranger').private),
        hopeless({ credentials: { secretName: 'hopeless-key' } }),
      ],
      reason: 'AuthenticationFailed',
      says: /was refused with the key of the Secret/,
    },
    {
      name: 'host key that is not the pinned one',
      objects: () => [hopeless({ hostKeys: [ed25519KeyPair('another host').public] })],
      reason: 'HostKeyMismatch',
      says: /host key not trusted: the host offers ssh-ed25519/,
    },
    {
      name: 'host with sshd and no helper',
      objects: () => [hopeless({ ...strangers.withoutHelper })],
      reason: 'NotADirector',
      says: /install ipvs-helper there/,
    },
    {
      name: 'helper of another protocol version',
      objects: () => [hopeless({ ...strangers.withHelperOfTheFuture })],
      reason: 'IncompatibleHelper',
      says: /speaks protocol version 99, this operator version 1; update the operator/,
    },
    {
      name: 'closed port',
      objects: () => [hopeless({ ...strangers.closedPort })],
      reason: 'Unreachable',
      says: /connection refused/,
    },
    {
      name: 'host that accepts and stays silent',
      objects: () => [hopeless({ ...strangers.silentPort })],
      reason: 'Timeout',
      says: /accepts connections but was silent/,
    },
    {
      name: 'port where something else answers',
      objects: () => [hopeless({ ...strangers.otherProtocol })],
      reason: 'Unreachable',
      says: /drops them during the SSH handshake/,
    },
    {
      name: 'host that does not exist',
      objects: () => [hopeless({ address: '192.0.2.249' })],
      reason: 'Unreachable',
      says: /(no TCP connection|no route to the host)/,
    },
  ];

  for (const [index, { name, objects, reason, says }] of cases.entries()) {
    it(`${name}: named in director, pool and Service; the others go on`, () =>
      undisturbed(async () => {
        const hopeful = `hopeful-${index}`;
        await cluster().apply(...objects());
        await scene.apply(service({ namespace: scene.namespace, name: hopeful, app: 'web', pool: 'hopeless' }));
        await untilCondition('director', 'hopeless', 'Ready', 'False', { reason });
        await untilDescribed('director', 'hopeless', says);
        await untilCondition('lbpool', 'hopeless', 'Ready', 'False', { reason: 'NoDirectorReady' });
        await untilDescribed('lbpool', 'hopeless', says);
        await untilDescribed('service', hopeful, new RegExp(`Warning .*${says.source}`), scene.namespace);
        const stored = await cluster().get('service', hopeful, scene.namespace);
        assert.deepEqual(stored.status.loadBalancer, {});
        for (const { name } of lab().directors) await untilCondition('director', name, 'Ready', 'True');
        await cluster().kubectl('delete', 'director', 'hopeless', '--timeout=40s');
        await scene.remove('service', hopeful);
      }));
  }

  it('a director without host keys is refused by the API server', async () => {
    assert.match(await cluster().refusal(hopeless({ hostKeys: [] })), /hostKeys/);
  });

  it('a silent host among the directors of a pool delays nobody', () =>
    undisturbed(async () => {
      const silent = director({ name: 'silent', labels: { site: 'a' }, spec: { ...strangers.silentPort } });
      await scene.apply(silent);
      await scene.apply(service({ namespace: scene.namespace, name: 'beside', app: 'web' }));
      await scene.addresses('beside', 1);
      await untilDescribed('lbpool', 'public', /silent.*silent for/);
      await cluster().kubectl('delete', 'director', 'silent', '--timeout=40s');
      await scene.remove('service', 'beside');
    }));

  /** The first director of the lab under another name, with something wrong. */
  function hopeless(wrong: Record<string, unknown>): Manifest {
    const [first] = placesOf(lab());
    return director({ name: 'hopeless', labels: { site: 'hopeless' }, spec: { ...first, ...wrong } });
  }
});

function keySecret(name: string, key: string): Manifest {
  return secret({
    namespace: OPERATOR_NAMESPACE,
    name,
    type: 'kubernetes.io/ssh-auth',
    data: { 'ssh-privatekey': key },
  });
}
