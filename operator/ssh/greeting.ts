import type { DirectorFailure, DirectorSession, HelperHello } from '../controllers/ports.ts';
import { incompatibleHelper, notADirector } from './failures.ts';
import { HelperChannel, type HelperChannelListener, type HelperExit } from './helper-channel.ts';
import { HelperSession, type SessionParts } from './helper-session.ts';
import { decodeHello, SPOKEN_PROTOCOL } from './wire.ts';

/** The forced command of authorized_keys runs instead; this shows in the host's log, and in SSH_ORIGINAL_COMMAND. */
const COMMAND = 'ipvs-helper serve';

/** After output that is no frame, the rest of it and stderr may still be on the way: they explain it. */
const MORE_OUTPUT_MS = 250;

export type Greeted =
  | { readonly ok: true; readonly session: DirectorSession }
  | { readonly ok: false; readonly failure: DirectorFailure };

/** Starts the helper over the connection and waits at most `helloMs` for its hello. The connection is closed when none comes. */
export function greet(parts: Omit<SessionParts, 'channel'>): Promise<Greeted> {
  return new Greeting(parts).result;
}

class Greeting implements HelperChannelListener {
  readonly result: Promise<Greeted>;
  readonly #parts: Omit<SessionParts, 'channel'>;
  readonly #settle: (greeted: Greeted) => void;
  #channel: HelperChannel | undefined;
  #settled = false;
  #cancel: () => void;

  constructor(parts: Omit<SessionParts, 'channel'>) {
    const { promise, resolve } = Promise.withResolvers<Greeted>();
    this.result = promise;
    this.#settle = resolve;
    this.#parts = parts;
    const { clock, limits, connection } = parts;
    this.#cancel = clock.schedule(limits.helloMs, () => {
      this.#refuse(`SSH works, but no helper said hello within ${limits.helloMs / 1000} s`);
    });
    void connection.ended.then((failure) => this.#finish({ ok: false, failure }));
    this.#start();
  }

  frame(payload: Buffer): void {
    if (this.#settled || this.#channel === undefined) return;
    const decoded = decodeHello(payload);
    if (decoded.kind === 'hello') this.#accept(decoded.hello, this.#channel);
    else if (decoded.kind === 'malformed') this.#refuseSoon();
    else this.#fail(incompatibleHelper(this.#parts.target, decoded, SPOKEN_PROTOCOL));
  }

  tooLong(): void {
    this.#refuseSoon();
  }

  logged(): void {
    // Kept by the channel, for the message.
  }

  closed(exit: HelperExit): void {
    const how = exit.signal
      ? `was killed by ${exit.signal}`
      : exit.code === undefined
        ? 'ended'
        : `ended with exit status ${exit.code}`;
    this.#refuse(`SSH works, but the command that sshd ran ${how} and no helper said hello`);
  }

  #start(): void {
    try {
      this.#parts.connection.client.exec(COMMAND, (error, stream) => {
        if (error === undefined) this.#channel = new HelperChannel(stream, this);
        else this.#refuse(`sshd opens no session (${error.message}); check its MaxSessions and its journal`);
      });
    } catch {
      // ssh2 throws when the connection is over already; `ended` says why.
    }
  }

  #accept(hello: HelperHello, channel: HelperChannel): void {
    const { target, log } = this.#parts;
    if (hello.owner !== target.owner) {
      const problem = `the helper there serves owner "${hello.owner}", but spec.tableOwner is "${target.owner}"`;
      this.#fail(notADirector(target, problem));
      return;
    }
    const session = new HelperSession(hello, { ...this.#parts, channel });
    log.debug('Director session opened', { director: target.name, helper: hello.version, kernel: hello.kernel });
    this.#finish({ ok: true, session });
  }

  /** Something answered that is no helper: waits a moment for the rest of its words. */
  #refuseSoon(): void {
    if (this.#settled) return;
    this.#cancel();
    this.#cancel = this.#parts.clock.schedule(MORE_OUTPUT_MS, () => {
      this.#refuse('SSH works, but what answers is no helper');
    });
  }

  #refuse(what: string): void {
    const said = this.#channel?.said();
    this.#fail(notADirector(this.#parts.target, said ? `${what} (${said})` : what));
  }

  #fail(failure: DirectorFailure): void {
    this.#finish({ ok: false, failure: this.#parts.connection.failure ?? failure });
  }

  #finish(greeted: Greeted): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#cancel();
    if (!greeted.ok) this.#parts.connection.destroy(greeted.failure);
    this.#settle(greeted);
  }
}
