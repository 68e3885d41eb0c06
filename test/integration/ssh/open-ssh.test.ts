import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DirectorTarget } from '../../../operator/controllers/ports.ts';
import { aVirtualServer } from '../../builders/a-virtual-server.ts';
import { builtHelper } from './contract-subjects.ts';
import { assertSaysWhatToDo, aTarget, dial, dialed, dialFailure } from './dialing.ts';
import { generateKey, type TestKey } from './keys.ts';
import { nothingLeft, openResources } from './leaks.ts';
import { type OpenSshHost, type OpenSshOptions, startOpenSshHost } from './open-ssh-host.ts';
import { frameOf, helloWith } from './scripted-host.ts';

const clientKey = generateKey();

describe('a host with a real sshd', function () {
  this.timeout(30_000);
  let start: Awaited<ReturnType<typeof openResources>>;
  let host: OpenSshHost | undefined;
  let directory: string;

  beforeEach(async () => {
    start = await openResources();
    directory = mkdtempSync(join(tmpdir(), 'director-helper-'));
  });
  afterEach(async () => {
    await host?.stop();
    host = undefined;
    rmSync(directory, { recursive: true });
    await nothingLeft(start);
  });

  async function targetOf(options: Partial<OpenSshOptions>, overrides: Partial<DirectorTarget> = {}) {
    host = await startOpenSshHost({ command: '/bin/true', clientKey, ...options });
    const { port, hostKeys, user } = host;
    return aTarget({ port, hostKeys, user, privateKey: clientKey.privateKey, ...overrides });
  }

  /** A helper that says hello and then answers whatever comes with the rest of the words. */
  function helperSaying(frames: Buffer, then: string): string {
    writeFileSync(join(directory, 'frames'), frames);
    return `cat ${join(directory, 'frames')}; ${then}`;
  }

  describe('that is no director', () => {
    const commands: [name: string, command: string, cause: RegExp][] = [
      ['a command that does nothing', '/bin/true', /exit status 0/],
      ['a command that echoes', '/bin/cat', /no helper said hello within/],
      [
        'a command that is missing',
        '/nonexistent/ipvs-helper serve',
        /exit status 127.*stderr: ".*(not found|No such file)/,
      ],
      [
        'a shell banner',
        'echo This account is currently not available.; exit 1',
        /"This account is currently not available\."/,
      ],
      ['a command that is killed', 'kill -KILL $$', /killed by SIGKILL|exit status 137/],
    ];
    for (const [name, command, cause] of commands) {
      it(`says NotADirector for ${name}`, async () => {
        const failure = await dialFailure(await targetOf({ command }), { limits: { helloMs: 2_000 } });
        assert.equal(failure.reason, 'NotADirector');
        assert.match(failure.message, cause);
      });
    }

    it('says NotADirector when sshd opens no session', async () => {
      const failure = await dialFailure(await targetOf({ config: ['MaxSessions 0'] }));
      assert.equal(failure.reason, 'NotADirector');
      assert.match(failure.message, /check its MaxSessions/);
    });
  });

  describe('that does not let us in', () => {
    const refusals: [name: string, options: Partial<OpenSshOptions>, overrides: Partial<DirectorTarget>][] = [
      ['another key', {}, { privateKey: generateKey().privateKey }],
      ['a user that is unknown', {}, { user: 'nobody-of-this-name' }],
      ['a user that is denied', { config: ['DenyUsers *'] }, {}],
      ['a host without public keys', { config: ['PubkeyAuthentication no'] }, {}],
    ];
    for (const [name, options, overrides] of refusals) {
      it(`says AuthenticationFailed for ${name}, with the user and the line to add`, async () => {
        const target = await targetOf(options, overrides);
        const failure = await dialFailure(target);
        assert.equal(failure.reason, 'AuthenticationFailed');
        assert.ok(failure.message.includes(`user ${target.user} was refused`), failure.message);
        assert.match(failure.message, /authorized_keys line of that key is missing.*serve --owner prod",restrict/);
      });
    }

    it('says HostKeyMismatch for another host key', async () => {
      const failure = await dialFailure(await targetOf({}, { hostKeys: [generateKey().publicLine] }));
      assert.equal(failure.reason, 'HostKeyMismatch');
    });
  });

  it('says IncompatibleHelper for a helper of another version', async () => {
    const command = helperSaying(
      frameOf(helloWith({ protocol: { min: 4, max: 5 }, version: '7.0.0' })),
      'cat >/dev/null',
    );
    const failure = await dialFailure(await targetOf({ command }));
    assert.equal(failure.reason, 'IncompatibleHelper');
    assert.match(
      failure.message,
      /helper 7.0.0 speaks protocol versions 4 to 5, this operator version 1; update the operator/,
    );
  });

  describe('lets in', () => {
    const keys: [name: string, key: TestKey, change?: (text: string) => string][] = [
      ['an Ed25519 key', generateKey('ed25519')],
      ['an ECDSA key', generateKey('ecdsa')],
      ['an ECDSA key in PEM', generateKey('ecdsa', { format: 'PEM' })],
      ['an RSA key', generateKey('rsa')],
      ['an RSA key in PEM', generateKey('rsa', { format: 'PEM' })],
      ['a key whose Secret lost the last line break', generateKey(), (text) => text.trimEnd()],
      ['a key whose Secret gained white space', generateKey(), (text) => `\n${text}\n\n`],
      ['a key with line breaks of Windows', generateKey(), (text) => text.replaceAll('\n', '\r\n')],
    ];
    for (const [name, key, change = (text: string) => text] of keys) {
      it(name, async () => {
        const command = helperSaying(frameOf(helloWith()), 'cat >/dev/null');
        const target = await targetOf({ command, clientKey: key }, { privateKey: change(key.privateKey) });
        const session = await dialed(target);
        session.close();
        await session.ended;
      });
    }
  });

  it('runs the forced command, whatever we ask for', async () => {
    const command = helperSaying(frameOf(helloWith()), 'printf %s "$SSH_ORIGINAL_COMMAND" >&2; exit 3');
    const session = await dialed(await targetOf({ command }));
    const failure = await session.ended;
    assert.equal(failure.reason, 'Closed');
    assert.match(failure.message, /status 3 \(stderr: "ipvs-helper serve"\)/);
  });

  it('takes one session of its connection, and its place is free when the session is closed', async () => {
    const command = helperSaying(frameOf(helloWith()), 'cat >/dev/null');
    const target = await targetOf({ command, config: ['MaxSessions 1'] });
    for (let i = 0; i < 3; i++) {
      const session = await dialed(target);
      session.close();
      assert.equal((await session.ended).reason, 'Closed');
    }
  });

  it('is noticed when it stands still', async () => {
    const command = helperSaying(frameOf(helloWith()), 'cat >/dev/null');
    const target = await targetOf({ command });
    const session = await dialed(target, { limits: { idleMs: 100, pingMs: 200 } });
    host?.signal('SIGSTOP');
    const failure = await session.ended;
    assert.equal(failure.reason, 'Timeout');
    assertSaysWhatToDo(failure, target);
  });

  it('is noticed by its silent sshd while a long answer is awaited', async () => {
    const command = helperSaying(frameOf(helloWith()), 'cat >/dev/null');
    const target = await targetOf({ command });
    const session = await dialed(target, { limits: { keepaliveMs: 100, keepaliveCount: 2 } });
    const answer = session.readKeys();
    host?.signal('SIGSTOP');
    const failure = await session.ended;
    assert.equal(failure.reason, 'Timeout');
    assert.match(failure.message, /keepalives stay unanswered/);
    assert.deepEqual(await answer, { kind: 'broken', failure });
  });

  it('that stands still before the greeting is a Timeout', async () => {
    const target = await targetOf({});
    host?.signal('SIGSTOP');
    const failure = await dialFailure(target, { limits: { handshakeMs: 300 } });
    assert.equal(failure.reason, 'Timeout');
  });

  it('dies under a session: Unreachable or Closed, and nothing is left', async () => {
    const command = helperSaying(frameOf(helloWith()), 'cat >/dev/null');
    const target = await targetOf({ command });
    const session = await dialed(target);
    const answer = session.readKeys();
    await host?.stop();
    host = undefined;
    const failure = await session.ended;
    assert.ok(failure.reason === 'Closed' || failure.reason === 'Unreachable', failure.message);
    assertSaysWhatToDo(failure, target);
    assert.deepEqual(await answer, { kind: 'broken', failure });
  });

  it('changes keys under a session, which does not notice', async () => {
    const state = mkdtempSync(join(directory, 'state-'));
    const policy = join(directory, 'policy.json');
    const owner = { virtualServers: ['203.0.113.0/24'], realServers: ['192.0.2.0/24'], interfaces: ['lo'] };
    writeFileSync(policy, JSON.stringify({ owners: { prod: owner } }));
    const command = `${builtHelper()} serve --owner prod --policy ${policy} --state-dir ${state} --fake-kernel`;
    const session = await dialed(await targetOf({ command, config: ['RekeyLimit 256K', 'LogLevel DEBUG1'] }));
    const virtualServers = Array.from({ length: 5_000 }, (_, index) =>
      aVirtualServer({ port: index + 1, realServers: [] }),
    );
    for (const scope of ['all', 'listed'] as const) {
      const base = { epoch: 1, generation: 1, dryRun: false, interface: 'lo', absent: [] };
      const answer = await session.apply({ ...base, scope, virtualServers });
      assert.deepEqual(answer.kind === 'ok' && answer.value.failed, []);
    }
    const exchanges = host?.log().match(/expecting SSH2_MSG_NEWKEYS/g)?.length ?? 0;
    assert.ok(exchanges > 2, `sshd made ${exchanges} key exchanges`);
    session.close();
    await session.ended;
  });

  it('is one of many that are dialed at once: all of them get their turn', async () => {
    const command = helperSaying(frameOf(helloWith()), 'cat >/dev/null');
    const target = await targetOf({ command });
    const results = await Promise.all(Array.from({ length: 5 }, () => dial(target, { limits: { parallelDials: 2 } })));
    for (const result of results) {
      assert.ok(result.ok, result.ok ? '' : result.failure.message);
      result.session.close();
    }
  });
});
