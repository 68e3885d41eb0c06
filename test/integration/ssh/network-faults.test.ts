import assert from 'node:assert/strict';
import type { DirectorFailure, DirectorTarget } from '../../../operator/controllers/ports.ts';
import { assertSaysWhatToDo, aTarget, dial, dialed } from './dialing.ts';
import { generateKey } from './keys.ts';
import { nothingLeft, openResources } from './leaks.ts';
import { type OpenSshHost, startOpenSshHost } from './open-ssh-host.ts';
import { answering, frameOf, helloWith, pong, startScriptedHost } from './scripted-host.ts';
import { type Cut, startTcpProxy, type TcpProxy } from './tcp-proxy.ts';

const clientKey = generateKey();
/** A helper that says hello and never answers; sshd sends its whole hello before anything is cut. */
const hello = frameOf(helloWith()).toString('base64');
const command = `echo ${hello} | base64 -d; exec cat >/dev/null`;

describe('a network that fails between operator and director', function () {
  this.timeout(60_000);
  let host: OpenSshHost;
  let proxy: TcpProxy;
  let target: DirectorTarget;
  let start: Awaited<ReturnType<typeof openResources>>;
  /** What a dial up to the hello carries. */
  let whole: Readonly<Record<Cut['direction'], number>>;

  before(async () => {
    host = await startOpenSshHost({ command, clientKey });
    proxy = await startTcpProxy(host.port);
    target = aTarget({ port: proxy.port, hostKeys: host.hostKeys, user: host.user, privateKey: clientKey.privateKey });
    const session = await dialed(target);
    whole = { ...proxy.carried };
    session.close();
    await session.ended;
  });
  after(async () => {
    await proxy.stop();
    await host.stop();
  });
  beforeEach(async () => {
    proxy.cut = undefined;
    start = await openResources();
  });
  afterEach(() => nothingLeft(start));

  /** Every 97 bytes and around the end: inside every packet of greeting, key exchange, login and hello. */
  function places(direction: Cut['direction']): number[] {
    const end = whole[direction];
    const steps = Array.from({ length: Math.floor(end / 97) }, (_, index) => index * 97);
    return [...steps, 1, end - 1];
  }

  async function failureAt(cut: Cut): Promise<DirectorFailure> {
    proxy.cut = cut;
    // Only silence needs to be waited for: a close is seen at once, however busy the machine.
    const limits = cut.effect === 'silence' ? { handshakeMs: 300, helloMs: 300 } : {};
    const result = await dial(target, { limits });
    assert.ok(!result.ok, `a dial cut after ${cut.bytes} bytes ${cut.direction} worked`);
    assertSaysWhatToDo(result.failure, target);
    return result.failure;
  }

  it('and closes at any byte from the host: the dial fails, and no key is blamed', async () => {
    for (const bytes of places('fromHost')) {
      const { reason, message } = await failureAt({ direction: 'fromHost', bytes, effect: 'close' });
      assert.ok(reason === 'Unreachable' || reason === 'Closed', `${bytes}: ${reason}: ${message}`);
    }
  });

  it('and closes at any byte to the host: the dial fails', async () => {
    for (const bytes of places('toHost')) {
      proxy.cut = { direction: 'toHost', bytes, effect: 'close' };
      const result = await dial(target);
      // The last bytes to the host do not matter for the hello: it may be there already.
      const failure = result.ok ? await result.session.ended : result.failure;
      assertSaysWhatToDo(failure, target);
    }
  });

  it('and falls silent at any byte from the host: the dial ends in time', async () => {
    for (const bytes of places('fromHost').filter((_, index) => index % 4 === 0)) {
      const { reason, message } = await failureAt({ direction: 'fromHost', bytes, effect: 'silence' });
      assert.ok(reason === 'Timeout' || reason === 'NotADirector', `${bytes}: ${message}`);
    }
  });

  it('and falls silent under a session: Timeout', async () => {
    const scripted = await startScriptedHost({ run: answering((each, channel) => channel.write(pong(each))) });
    const between = await startTcpProxy(scripted.port);
    try {
      const toScripted = aTarget({ port: between.port, hostKeys: scripted.hostKeys });
      (await dialed(toScripted)).close();
      between.cut = { direction: 'fromHost', bytes: between.carried.fromHost + 1, effect: 'silence' };
      const session = await dialed(toScripted, { limits: { pingMs: 200 } });
      const answer = await session.ping();
      assert.equal(answer.kind === 'broken' && answer.failure.reason, 'Timeout');
      assert.equal((await session.ended).reason, 'Timeout');
    } finally {
      await between.stop();
      await scripted.stop();
    }
  });
});
