import assert from 'node:assert/strict';
import type { ServerChannel } from 'ssh2';
import type { ApplyRequest, DirectorFailure, DirectorSession } from '../../../operator/controllers/ports.ts';
import { DEFAULT_SSH_LIMITS } from '../../../operator/ssh/limits.ts';
import { aRealServer, aVirtualServer } from '../../builders/a-virtual-server.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';
import { assertSaysWhatToDo, aTarget, dialed } from './dialing.ts';
import { nothingLeft, openResources } from './leaks.ts';
import {
  answering,
  frameOf,
  helloWith,
  pong,
  type ReceivedRequest,
  type ScriptedHost,
  sayHello,
  startScriptedHost,
} from './scripted-host.ts';

const request: ApplyRequest = {
  epoch: 1,
  generation: 1,
  dryRun: false,
  scope: 'listed',
  interface: 'lo',
  virtualServers: [],
  absent: [],
};

const applied = {
  changes: [],
  errors: [],
  failed: [],
  writes: 0,
  totalWrites: 0,
  tableHash: 'h',
  counts: {
    virtualServers: 0,
    realServers: 0,
    draining: 0,
    foreign: 0,
    orphans: 0,
    activeConnections: 0,
    inactiveConnections: 0,
  },
};

describe('a session', () => {
  let start: Awaited<ReturnType<typeof openResources>>;
  let host: ScriptedHost | undefined;
  const clock = new FakeClock();

  beforeEach(async () => {
    start = await openResources();
  });
  afterEach(async () => {
    await host?.stop();
    host = undefined;
    await nothingLeft(start);
    assert.equal(clock.pending, 0, 'timers are left on the injected clock');
  });

  async function sessionWith(run: (channel: ServerChannel) => void): Promise<DirectorSession> {
    host = await startScriptedHost({ run });
    return dialed(aTarget({ port: host.port, hostKeys: host.hostKeys }), { clock });
  }

  /** The session is over, for good, and says so to everybody with the same failure. */
  async function assertOver(session: DirectorSession, reason: DirectorFailure['reason']): Promise<DirectorFailure> {
    const failure = await session.ended;
    assert.equal(failure.reason, reason, failure.message);
    assertSaysWhatToDo(failure, aTarget({ port: host?.port ?? 0, hostKeys: [] }));
    assert.deepEqual(await session.ping(), { kind: 'broken', failure });
    assert.deepEqual(await session.apply(request), { kind: 'broken', failure });
    session.close();
    assert.equal(await session.ended, failure);
    return failure;
  }

  it('sends the next request when the answer to the one before is there', async () => {
    const received: ReceivedRequest[] = [];
    let release: () => void = () => undefined;
    const session = await sessionWith(
      answering((each, channel) => {
        received.push(each);
        if (each.op === 'apply') release = () => channel.write(frameOf({ id: each.id, ok: true, result: applied }));
        else channel.write(pong(each));
      }),
    );
    const first = session.apply(request);
    const second = session.ping();
    await until(() => received.length > 0, 'the first request arrives');
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.deepEqual(
      received.map(({ op }) => op),
      ['apply'],
    );
    release();
    assert.deepEqual([(await first).kind, (await second).kind], ['ok', 'ok']);
    session.close();
    await session.ended;
  });

  it('passes on what the helper refuses, and lives', async () => {
    const session = await sessionWith(
      answering((each, channel) => {
        const error = { class: 'fenced', message: 'older', highest: { epoch: 3, generation: 17 } };
        channel.write(each.op === 'ping' ? pong(each) : frameOf({ id: each.id, ok: false, error }));
      }),
    );
    assert.deepEqual(await session.apply(request), {
      kind: 'refused',
      error: { class: 'fenced', message: 'older', highest: { epoch: 3, generation: 17 } },
    });
    assert.equal((await session.ping()).kind, 'ok');
    session.close();
    await session.ended;
  });

  it('refuses a request that is longer than a frame, and lives', async () => {
    const session = await sessionWith(answering((each, channel) => channel.write(pong(each))));
    const realServers = Array.from({ length: 160_000 }, (_, index) => aRealServer({ port: (index % 60_000) + 1 }));
    const answer = await session.apply({ ...request, virtualServers: [aVirtualServer({ realServers })] });
    assert.equal(answer.kind === 'refused' && answer.error.class, 'protocol');
    assert.match(
      answer.kind === 'refused' ? answer.error.message : '',
      /longer than a frame may be .* fewer or smaller/,
    );
    assert.equal((await session.ping()).kind, 'ok');
    session.close();
    await session.ended;
  });

  it('carries a request and an answer of megabytes', async () => {
    const sentence = 's'.repeat(100);
    const changes = Array.from({ length: 50_000 }, () => ({ kind: 'addRealServer', object: 'o', sentence }));
    const session = await sessionWith(
      answering((each, channel) => channel.write(frameOf({ id: each.id, ok: true, result: { ...applied, changes } }))),
    );
    const realServers = Array.from({ length: 50_000 }, (_, index) => aRealServer({ port: index + 1 }));
    const answer = await session.apply({ ...request, virtualServers: [aVirtualServer({ realServers })] });
    assert.equal(answer.kind === 'ok' && answer.value.changes.length, 50_000);
    session.close();
    await session.ended;
  });

  describe('ends with Timeout', () => {
    const { pingMs, readMs, applyMs, applyPerEntryMs, idleMs } = DEFAULT_SSH_LIMITS;
    const threeEntries = { ...request, virtualServers: [aVirtualServer()], absent: [aVirtualServer({ port: 81 })] };
    const silent: [name: string, ask: (session: DirectorSession) => Promise<{ kind: string }>, deadlineMs: number][] = [
      ['ping', (session) => session.ping(), pingMs],
      ['read', (session) => session.readKeys(), readMs],
      ['apply', (session) => session.apply(request), applyMs],
      ['apply', (session) => session.apply(threeEntries), applyMs + 3 * applyPerEntryMs],
    ];
    for (const [name, ask, deadlineMs] of silent) {
      it(`when nothing answers: ${name}, after ${deadlineMs} ms`, async () => {
        let arrived = false;
        const session = await sessionWith(
          answering(() => {
            arrived = true;
          }),
        );
        const answer = ask(session);
        await until(() => arrived, 'the request arrives');
        await clock.advance(deadlineMs - 1);
        assert.equal(await Promise.race([session.ended.then(() => 'ended'), Promise.resolve('alive')]), 'alive');
        await clock.advance(1);
        assert.equal((await answer).kind, 'broken');
        const failure = await assertOver(session, 'Timeout');
        assert.ok(failure.message.includes(`no answer to ${name} within`), failure.message);
      });
    }

    it('when the host stands still while nothing is asked', async () => {
      let pings = 0;
      let frozen = false;
      const session = await sessionWith(
        answering((each, channel) => {
          pings += 1;
          if (!frozen) channel.write(pong(each));
        }),
      );
      await clock.advance(idleMs);
      await until(() => pings === 1 && clock.pending === 1, 'the idle ping is answered');
      frozen = true;
      await clock.advance(idleMs + pingMs);
      await assertOver(session, 'Timeout');
    });
  });

  describe('ends with ProtocolError', () => {
    const answers: [name: string, answer: (each: ReceivedRequest, channel: ServerChannel) => void, cause: RegExp][] = [
      ['bad JSON', (_, channel) => channel.write(Buffer.from('\0\0\0\u0002{{')), /not JSON/],
      ['bytes that are not UTF-8', (_, channel) => channel.write(Buffer.from([0, 0, 0, 1, 0xff])), /not JSON in UTF-8/],
      [
        'another id',
        ({ id }, channel) => channel.write(frameOf({ id: id + 1, ok: true, result: {} })),
        /answers request 2/,
      ],
      ['a result of a wrong type', ({ id }, channel) => channel.write(frameOf({ id, ok: true, result: 7 })), /result/],
      ['no result', ({ id }, channel) => channel.write(frameOf({ id, ok: true })), /result/],
      ['an oversize frame', (_, channel) => channel.write(Buffer.from([2, 0, 0, 0])), /frame of 33554432 bytes/],
      ['text', (_, channel) => channel.write('panic: runtime error\n'), /frame of 1885433449 bytes/],
      [
        'a second answer',
        (each, channel) => channel.write(Buffer.concat([pong(each), pong(each)])),
        /nothing was asked/,
      ],
      [
        'half a frame and EOF',
        (each, channel) => channel.end(pong(each).subarray(0, 9)),
        /middle of a frame, after 9 bytes/,
      ],
    ];
    for (const [name, answer, cause] of answers) {
      it(`for ${name}`, async () => {
        const session = await sessionWith(answering(answer));
        await session.ping();
        const failure = await assertOver(session, 'ProtocolError');
        assert.match(failure.message, cause);
      });
    }

    it('for a frame after the hello, in the same packet', async () => {
      const twice = Buffer.concat([frameOf(helloWith()), frameOf(helloWith())]);
      const session = await sessionWith((channel) => channel.write(twice));
      assert.match((await assertOver(session, 'ProtocolError')).message, /nothing was asked/);
    });
  });

  describe('ends with Closed', () => {
    it('when the helper exits, with what it wrote to stderr', async () => {
      const session = await sessionWith(
        answering((_, channel) => {
          channel.stderr.write('fatal: no memory\n');
          channel.exit(2);
          channel.end();
        }),
      );
      assert.equal((await session.ping()).kind, 'broken');
      const failure = await assertOver(session, 'Closed');
      assert.match(failure.message, /ended with status 2 \(stderr: "fatal: no memory"\)/);
    });

    it('when the helper exits while nothing is asked', async () => {
      let end: () => void = () => undefined;
      const session = await sessionWith((channel) => {
        sayHello(channel);
        end = () => channel.end();
      });
      end();
      await assertOver(session, 'Closed');
    });

    it('when it is closed with a request in flight, which is answered as broken', async () => {
      let arrived = false;
      const session = await sessionWith(
        answering(() => {
          arrived = true;
        }),
      );
      const [first, second] = [session.apply(request), session.ping()];
      await until(() => arrived, 'the request arrives');
      session.close();
      const failure = await session.ended;
      assert.equal(failure.reason, 'Closed');
      assert.deepEqual(await first, { kind: 'broken', failure });
      assert.deepEqual(await second, { kind: 'broken', failure });
    });
  });

  it('survives nothing less than a whole answer: cut after every byte', async () => {
    const whole = pong({ id: 1, op: 'ping' });
    for (let bytes = 0; bytes < whole.length; bytes++) {
      const session = await sessionWith(answering((each, channel) => channel.end(pong(each).subarray(0, bytes))));
      const answer = await session.ping();
      assert.equal(answer.kind, 'broken', `an answer of ${bytes} bytes was taken for whole`);
      assert.equal((await session.ended).reason, bytes === 0 ? 'Closed' : 'ProtocolError');
      await host?.stop();
    }
  });
});

/** Waits for the condition, for at most 5 s. */
async function until(condition: () => boolean, what: string): Promise<void> {
  const end = Date.now() + 5_000;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`waited 5 s in vain until ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
