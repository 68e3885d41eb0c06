import { createConnection, type Socket } from 'node:net';
import ssh2 from 'ssh2';
import type { Clock, DirectorFailure, DirectorTarget } from '../controllers/ports.ts';
import {
  badPrivateKey,
  closed,
  connectionFailure,
  hostKeyMismatch,
  type SshError,
  type Stage,
  silent,
} from './failures.ts';
import { fingerprint, type PinnedHostKeys, pinnedHostKeys } from './host-keys.ts';
import type { SshLimits } from './limits.ts';

/** One authenticated SSH connection to a director. */
export interface Connection {
  /** The SSH client, for opening the one channel. */
  readonly client: ssh2.Client;
  /** Why the connection is over, as soon as it is: before ssh2 tells the channel that it has ended too. */
  readonly failure: DirectorFailure | undefined;
  /** Settles once, when the connection is over: with what {@link destroy} was given, or what the network or the host did. */
  readonly ended: Promise<DirectorFailure>;
  /** Ends it at once. Only the first call counts. */
  destroy(failure: DirectorFailure): void;
  /** Says goodbye, and ends it when that is sent or after a second. */
  close(how: string): void;
}

export type Connected =
  | { readonly ok: true; readonly connection: Connection }
  | { readonly ok: false; readonly failure: DirectorFailure };

/** No SHA-1, no CBC, no group of less than 2048 bits. What OpenSSH has enabled since 7.x meets this. */
const ALGORITHMS = {
  kex: [
    'curve25519-sha256',
    'curve25519-sha256@libssh.org',
    'ecdh-sha2-nistp256',
    'ecdh-sha2-nistp384',
    'ecdh-sha2-nistp521',
    'diffie-hellman-group16-sha512',
    'diffie-hellman-group18-sha512',
    'diffie-hellman-group14-sha256',
  ],
  cipher: [
    'aes128-gcm@openssh.com',
    'aes256-gcm@openssh.com',
    'chacha20-poly1305@openssh.com',
    'aes128-ctr',
    'aes192-ctr',
    'aes256-ctr',
  ],
  hmac: ['hmac-sha2-256-etm@openssh.com', 'hmac-sha2-512-etm@openssh.com', 'hmac-sha2-256', 'hmac-sha2-512'],
  compress: ['none'],
} satisfies ssh2.Algorithms;

const GOODBYE_MS = 1_000;

/**
 * Connects to the target and authenticates with its key, over a socket of our own: ssh2's default socket leaves Nagle's algorithm on,
 * which costs 40 ms per round trip. The host must show a pinned key. Bounded by `connectMs` and `handshakeMs`; never throws.
 */
export async function connect(target: DirectorTarget, clock: Clock, limits: SshLimits): Promise<Connected> {
  const problem = privateKeyProblem(target.privateKey);
  if (problem !== undefined) return { ok: false, failure: badPrivateKey(target, problem) };
  const pinned = pinnedHostKeys(target.hostKeys);
  if (pinned.algorithms.length === 0) {
    return { ok: false, failure: hostKeyMismatch(target, undefined, []) };
  }
  const attempt = new Attempt(target, pinned, clock, limits);
  return attempt.result;
}

/** ssh2 puts nothing of the key into these messages; they are replaced all the same, so that none ever can. */
function privateKeyProblem(privateKey: string): string | undefined {
  const parsed = ssh2.utils.parseKey(privateKey);
  const key = Array.isArray(parsed) ? parsed[0] : parsed;
  if (key === undefined) return 'it holds no key';
  if (key instanceof Error) {
    return /encrypted/i.test(key.message)
      ? 'it is encrypted with a passphrase'
      : 'it is not a private key that can be read';
  }
  return key.isPrivateKey() ? undefined : 'it is a public key';
}

/** One connection, from the first packet to its end; every way out goes through {@link #finish}. */
class Attempt implements Connection {
  readonly client = new ssh2.Client();
  readonly result: Promise<Connected>;
  readonly ended: Promise<DirectorFailure>;
  readonly #socket: Socket;
  readonly #target: DirectorTarget;
  readonly #clock: Clock;
  readonly #settleResult: (result: Connected) => void;
  readonly #settleEnded: (failure: DirectorFailure) => void;
  #stage: Stage = 'connect';
  #error: SshError | undefined;
  #offered: string | undefined;
  #accepted = false;
  #failure: DirectorFailure | undefined;
  #cancelDeadline: () => void;

  constructor(target: DirectorTarget, pinned: PinnedHostKeys, clock: Clock, limits: SshLimits) {
    const result = Promise.withResolvers<Connected>();
    const ended = Promise.withResolvers<DirectorFailure>();
    this.result = result.promise;
    this.ended = ended.promise;
    this.#settleResult = result.resolve;
    this.#settleEnded = ended.resolve;
    this.#target = target;
    this.#clock = clock;
    this.#socket = createConnection({ host: target.address, port: target.port, noDelay: true });
    this.#cancelDeadline = this.#expectWithin(limits.connectMs);
    this.#listen(pinned, limits);
    this.#start(pinned, limits);
  }

  get failure(): DirectorFailure | undefined {
    return this.#failure;
  }

  destroy(failure: DirectorFailure): void {
    this.#finish(failure);
    this.#socket.destroy();
  }

  close(how: string): void {
    this.#finish(closed(this.#target, how));
    this.client.end();
    this.#socket.destroySoon();
    const cancel = this.#clock.schedule(GOODBYE_MS, () => this.#socket.destroy());
    this.#socket.once('close', cancel);
  }

  #listen(pinned: PinnedHostKeys, limits: SshLimits): void {
    const over = () => {
      const hostKey = { offered: this.#offered, accepted: this.#accepted, pinned: pinned.fingerprints };
      this.destroy(connectionFailure(this.#target, this.#stage, this.#error, hostKey));
    };
    this.client
      .on('connect', () => {
        this.#stage = 'handshake';
        this.#cancelDeadline();
        this.#cancelDeadline = this.#expectWithin(limits.handshakeMs);
      })
      .on('handshake', () => {
        if (this.#stage === 'handshake') this.#stage = 'authentication';
      })
      .on('ready', () => {
        this.#stage = 'open';
        this.#cancelDeadline();
        this.#settleResult({ ok: true, connection: this });
      })
      // This listener stays for good: after a failure ssh2 may report further errors, and one without a listener is thrown.
      .on('error', (error: SshError) => {
        this.#error ??= error;
        over();
      })
      .on('close', over);
  }

  #start(pinned: PinnedHostKeys, limits: SshLimits): void {
    this.client.connect({
      sock: this.#socket,
      username: this.#target.user,
      privateKey: this.#target.privateKey,
      authHandler: ['publickey'],
      algorithms: { ...ALGORITHMS, serverHostKey: [...pinned.algorithms] },
      hostVerifier: (offered: Buffer) => {
        this.#offered = fingerprint(offered);
        this.#accepted = pinned.accepts(offered);
        return this.#accepted;
      },
      // The deadlines are ours, by the injected clock.
      readyTimeout: 0,
      keepaliveInterval: limits.keepaliveMs,
      keepaliveCountMax: limits.keepaliveCount,
    });
  }

  #expectWithin(milliseconds: number): () => void {
    return this.#clock.schedule(milliseconds, () => this.destroy(silent(this.#target, this.#stage, milliseconds)));
  }

  #finish(failure: DirectorFailure): void {
    if (this.#failure !== undefined) return;
    this.#failure = failure;
    this.#cancelDeadline();
    this.#settleResult({ ok: false, failure });
    this.#settleEnded(failure);
  }
}
