import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import type { ServerChannel } from 'ssh2';
import type { Clock, DirectorFailure, DirectorTarget } from '../../../operator/controllers/ports.ts';
import { systemClock } from '../../../operator/observe/system-clock.ts';
import { createDirectorDialer } from '../../../operator/ssh/helper-client.ts';
import { fingerprint } from '../../../operator/ssh/host-keys.ts';
import { FakeLog } from '../../fakes/fake-log.ts';
import { aTarget, dialed, dialFailure } from './dialing.ts';
import { generateKey } from './keys.ts';
import { nothingLeft, openResources } from './leaks.ts';
import { frameOf, helloWith, type Script, startScriptedHost } from './scripted-host.ts';

const someHostKeys = [generateKey().publicLine];

/** Runs `use` while a TCP server treats every connection like this. */
async function withTcpServer<T>(treat: (socket: Socket) => void, use: (port: number) => Promise<T>): Promise<T> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.resume();
    treat(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    return await use((server.address() as AddressInfo).port);
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  }
}

/** Why dialing a host with this script fails. */
async function failureWith(
  script: Script,
  overrides: Partial<DirectorTarget> = {},
  limits: Parameters<typeof dialFailure>[1] = {},
): Promise<DirectorFailure> {
  const host = await startScriptedHost(script);
  try {
    return await dialFailure(aTarget({ port: host.port, hostKeys: host.hostKeys, ...overrides }), limits);
  } finally {
    await host.stop();
  }
}

function print(publicLine: string | undefined): string {
  return fingerprint(Buffer.from(publicLine?.split(' ')[1] ?? '', 'base64'));
}

describe('a dial that fails', () => {
  let start: Awaited<ReturnType<typeof openResources>>;
  beforeEach(async () => {
    start = await openResources();
  });
  afterEach(() => nothingLeft(start));

  describe('before SSH', () => {
    it('says Unreachable for a closed port', async () => {
      const port = await withTcpServer(
        () => undefined,
        async (free) => free,
      );
      const failure = await dialFailure(aTarget({ port, hostKeys: someHostKeys }));
      assert.equal(failure.reason, 'Unreachable');
      assert.match(failure.message, /connection refused; check that sshd listens/);
    });

    it('says Unreachable when no TCP connection comes about in time', async () => {
      const impatient: Clock = {
        ...systemClock,
        schedule: (_, callback) => {
          queueMicrotask(callback);
          return () => undefined;
        },
      };
      await withTcpServer(
        () => undefined,
        async (port) => {
          const failure = await dialFailure(aTarget({ port, hostKeys: someHostKeys }), { clock: impatient });
          assert.equal(failure.reason, 'Unreachable');
          assert.match(failure.message, /no TCP connection within 5 s; check that the host is up/);
        },
      );
    });

    it('says Timeout for a host that accepts and stays silent', async () => {
      await withTcpServer(
        () => undefined,
        async (port) => {
          const failure = await dialFailure(aTarget({ port, hostKeys: someHostKeys }), {
            limits: { handshakeMs: 100 },
          });
          assert.equal(failure.reason, 'Timeout');
          assert.match(failure.message, /accepts connections but was silent.*check that it is sshd that listens/);
        },
      );
    });

    it('says Timeout for a host that greets and stays silent then', async () => {
      await withTcpServer(
        (socket) => socket.write('SSH-2.0-OpenSSH_9.2\r\n'),
        async (port) => {
          const failure = await dialFailure(aTarget({ port, hostKeys: someHostKeys }), {
            limits: { handshakeMs: 100 },
          });
          assert.equal(failure.reason, 'Timeout');
        },
      );
    });

    const drops: [name: string, treat: (socket: Socket) => void, cause: RegExp][] = [
      ['accepts and closes', (socket) => socket.end(), /drops them during the SSH handshake.*check.*MaxStartups/],
      [
        'accepts and resets',
        (socket) => socket.resetAndDestroy(),
        /reset by the host; check that sshd runs|drops them/,
      ],
      ['greets and closes', (socket) => socket.end('SSH-2.0-x\r\n'), /drops them during the SSH handshake/],
    ];
    for (const [name, treat, cause] of drops) {
      it(`says Unreachable for a host that ${name}`, async () => {
        await withTcpServer(treat, async (port) => {
          const failure = await dialFailure(aTarget({ port, hostKeys: someHostKeys }));
          assert.equal(failure.reason, 'Unreachable');
          assert.match(failure.message, cause);
        });
      });
    }

    it('says NotADirector for a port where something else than SSH answers', async () => {
      const page = `HTTP/1.1 400 Bad Request\r\n${'x-line: 1\r\n'.repeat(2000)}\r\n`;
      await withTcpServer(
        (socket) => socket.write(page),
        async (port) => {
          const failure = await dialFailure(aTarget({ port, hostKeys: someHostKeys }));
          assert.equal(failure.reason, 'NotADirector');
          assert.match(failure.message, /not an SSH server; check spec.address and spec.port/);
        },
      );
    });

    it('says NotADirector for bytes that are no SSH at all', async () => {
      await withTcpServer(
        (socket) => socket.write(Buffer.alloc(100_000, 0xff)),
        async (port) => {
          const failure = await dialFailure(aTarget({ port, hostKeys: someHostKeys }));
          assert.equal(failure.reason, 'NotADirector');
        },
      );
    });
  });

  describe('for its host key', () => {
    it('says HostKeyMismatch with the fingerprint offered and the pinned ones, and sends nothing', async () => {
      const host = await startScriptedHost({});
      const pinned = [generateKey().publicLine, generateKey().publicLine];
      const failure = await dialFailure(aTarget({ port: host.port, hostKeys: pinned }));
      await host.stop();
      assert.equal(failure.reason, 'HostKeyMismatch');
      assert.ok(failure.message.includes(`offers ${print(host.hostKeys[0])}`), failure.message);
      for (const line of pinned) assert.ok(failure.message.includes(print(line)), failure.message);
      assert.match(failure.message, /update spec.hostKeys/);
      assert.deepEqual(host.commands, []);
    });

    it('says HostKeyMismatch when the host has no key of a pinned type', async () => {
      const failure = await failureWith({}, { hostKeys: [generateKey('ecdsa').publicLine] });
      assert.equal(failure.reason, 'HostKeyMismatch');
      assert.match(failure.message, /no key of a pinned type.*ecdsa-sha2-nistp256 SHA256:/);
    });

    it('says HostKeyMismatch without a packet when no pinned key is usable', async () => {
      const failure = await dialFailure(aTarget({ port: 1, hostKeys: ['ssh-ed25519 nonsense'] }));
      assert.equal(failure.reason, 'HostKeyMismatch');
      assert.match(failure.message, /spec.hostKeys holds no usable key/);
    });
  });

  describe('for its private key', () => {
    const { privateKey, publicLine } = generateKey();
    const lockedPem = generateKey('rsa', { passphrase: 'secret', format: 'PEM' }).privateKey;
    const locked = generateKey('ed25519', { passphrase: 'secret' }).privateKey;
    const keys: [name: string, key: string, cause: RegExp][] = [
      ['nonsense', 'nonsense', /not a private key that can be read/],
      ['nothing', '', /not a private key that can be read/],
      ['half a key', privateKey.slice(0, 150), /not a private key that can be read/],
      ['a public key', publicLine, /it is a public key/],
      ['a key with a passphrase', locked, /encrypted with a passphrase/],
      ['a PEM key with a passphrase', lockedPem, /encrypted with a passphrase/],
    ];
    for (const [name, key, cause] of keys) {
      it(`says BadPrivateKey for ${name}`, async () => {
        const failure = await dialFailure(aTarget({ port: 1, hostKeys: someHostKeys, privateKey: key }));
        assert.equal(failure.reason, 'BadPrivateKey');
        assert.match(failure.message, cause);
        assert.match(failure.message, /store an unencrypted .* under ssh-privatekey/);
      });
    }
  });

  describe('for its algorithms', () => {
    const old: [name: string, algorithms: Script['algorithms']][] = [
      ['HMAC with SHA-1 only', { cipher: ['aes128-ctr'], hmac: ['hmac-sha1'] }],
      ['CBC only', { cipher: ['aes128-cbc'], hmac: ['hmac-sha2-256'] }],
      ['a SHA-1 key exchange only', { kex: ['diffie-hellman-group14-sha1'] }],
    ];
    for (const [name, algorithms] of old) {
      it(`says ProtocolError for a host with ${name}`, async () => {
        const failure = await failureWith({ algorithms });
        assert.equal(failure.reason, 'ProtocolError');
        assert.match(failure.message, /no algorithm in common; allow a current one in sshd_config/);
      });
    }
  });

  describe('for what answers', () => {
    const answers: [name: string, run: (channel: ServerChannel) => void, cause: RegExp][] = [
      ['nothing', () => undefined, /no helper said hello within 0.3 s/],
      [
        'a banner',
        (channel) => channel.write('\u001b[1mWelcome\u001b[0m to host\r\n'),
        /output: "\[1mWelcome \[0m to host"/,
      ],
      ['a long text', (channel) => channel.write('x'.repeat(5000)), /output: "x{200}…"/],
      ['JSON that is no frame', (channel) => channel.write('{"type":"hello"}'), /what answers is no helper/],
      [
        'a frame that is not JSON',
        (channel) => channel.write(Buffer.from('\0\0\0\u0002{{')),
        /what answers is no helper/,
      ],
      ['a frame that is no hello', (channel) => channel.write(frameOf({ id: 1, ok: true, result: {} })), /no helper/],
      ['a hello of wrong types', (channel) => channel.write(frameOf(helloWith({ epoch: '0' }))), /no helper/],
      ['a frame over the limit', (channel) => channel.write(Buffer.from([1, 0, 0, 1])), /no helper/],
      [
        'half a hello, and closes',
        (channel) => channel.end(frameOf(helloWith()).subarray(0, 30)),
        /no helper said hello/,
      ],
      [
        'an exit status',
        (channel) => {
          channel.stderr.write('sh: 1: ipvs-helper: not found\n');
          channel.exit(127);
          channel.end();
        },
        /exit status 127.*stderr: "sh: 1: ipvs-helper: not found"/,
      ],
      [
        'a signal',
        (channel) => {
          channel.exit('KILL');
          channel.end();
        },
        /killed by (SIG)?KILL/,
      ],
      ['a closed channel', (channel) => channel.end(), /no helper said hello/],
    ];
    for (const [name, run, cause] of answers) {
      it(`says NotADirector for ${name}`, async () => {
        const failure = await failureWith({ run }, {}, { limits: { helloMs: 300 } });
        assert.equal(failure.reason, 'NotADirector');
        assert.match(failure.message, cause);
        assert.match(failure.message, /install ipvs-helper there .* command=".*serve --owner prod"/);
      });
    }

    it('says NotADirector for the helper of another owner', async () => {
      const failure = await failureWith({}, { owner: 'staging' });
      assert.equal(failure.reason, 'NotADirector');
      assert.match(failure.message, /serves owner "prod", but spec.tableOwner is "staging"/);
    });

    const versions: [name: string, protocol: object, cause: RegExp][] = [
      [
        'a newer',
        { min: 2, max: 3 },
        /helper 0.1.0 speaks protocol versions 2 to 3, this operator version 1; update the operator/,
      ],
      [
        'an older',
        { min: 0, max: 0 },
        /helper 0.1.0 speaks protocol version 0, this operator version 1; update ipvs-helper/,
      ],
    ];
    for (const [name, protocol, cause] of versions) {
      it(`says IncompatibleHelper for ${name} helper`, async () => {
        const failure = await failureWith({ run: (channel) => channel.write(frameOf(helloWith({ protocol }))) });
        assert.equal(failure.reason, 'IncompatibleHelper');
        assert.match(failure.message, cause);
      });
    }
  });

  it('leaves nothing when the host closes the connection right after the login', async () => {
    const failure = await failureWith({ run: (channel) => channel.destroy() });
    assert.equal(failure.reason, 'NotADirector');
  });
});

describe('a dial that works', () => {
  it('asks for the helper, reads its hello, and leaves nothing after close', async () => {
    const start = await openResources();
    const host = await startScriptedHost({});
    const session = await dialed(aTarget({ port: host.port, hostKeys: host.hostKeys }));
    assert.deepEqual(host.commands, ['ipvs-helper serve']);
    assert.equal(session.hello.owner, 'prod');
    session.close();
    assert.equal((await session.ended).reason, 'Closed');
    await host.stop();
    await nothingLeft(start);
  });

  it('accepts the second of several pinned keys', async () => {
    const host = await startScriptedHost({});
    const session = await dialed(aTarget({ port: host.port, hostKeys: [...someHostKeys, ...host.hostKeys] }));
    session.close();
    await host.stop();
  });

  it('waits for its turn: no more hosts are dialed at once than the limit', async () => {
    const start = await openResources();
    let open = 0;
    let most = 0;
    await withTcpServer(
      (socket) => {
        open += 1;
        most = Math.max(most, open);
        socket.on('close', () => {
          open -= 1;
        });
      },
      async (port) => {
        const limits = { handshakeMs: 100, parallelDials: 2 };
        const dialer = createDirectorDialer({ clock: systemClock, log: new FakeLog(), limits });
        const dials = Array.from({ length: 6 }, () => dialer.dial(aTarget({ port, hostKeys: someHostKeys })));
        const results = await Promise.all(dials);
        assert.ok(results.every((each) => !each.ok && each.failure.reason === 'Timeout'));
      },
    );
    // The server may see a connection's end after the next one's begin.
    assert.ok(most >= 2 && most <= 4, `${most} connections at once`);
    await nothingLeft(start);
  });
});
