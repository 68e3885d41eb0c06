import type { ZodType } from 'zod';
import type {
  Answer,
  ApplyRequest,
  ApplyResult,
  Clock,
  DirectorFailure,
  DirectorSession,
  DirectorTarget,
  HelperHello,
  Log,
  ReadKeysResult,
} from '../controllers/ports.ts';
import type { PreflightCheck } from '../model/preflight-check.ts';
import type { Connection } from './connection.ts';
import { closed, describeTarget, noAnswer, protocolError } from './failures.ts';
import { MAX_FRAME_BYTES } from './frames.ts';
import type { HelperChannel, HelperChannelListener, HelperExit } from './helper-channel.ts';
import type { SshLimits } from './limits.ts';
import { type DecodedResponse, decodeResponse, encodeRequest, RESULT_OF, type WireRequest } from './wire.ts';

/** What a session stands on. */
export interface SessionParts {
  readonly target: DirectorTarget;
  readonly connection: Connection;
  readonly channel: HelperChannel;
  readonly clock: Clock;
  readonly limits: SshLimits;
  readonly log: Log;
}

interface InFlight {
  readonly what: string;
  /** Reads the response; returns why it cannot be one. */
  receive(payload: Buffer): string | undefined;
  abandon(failure: DirectorFailure): void;
}

/** A session after its hello. Takes over the channel's frames at once. */
export class HelperSession implements DirectorSession, HelperChannelListener {
  readonly hello: HelperHello;
  readonly ended: Promise<DirectorFailure>;
  readonly #parts: SessionParts;
  #failure: DirectorFailure | undefined;
  #lastId = 0;
  #inFlight: InFlight | undefined;
  #tail: Promise<unknown> = Promise.resolve();
  #cancelIdlePing: () => void = () => undefined;

  constructor(hello: HelperHello, parts: SessionParts) {
    this.hello = hello;
    this.#parts = parts;
    this.ended = parts.connection.ended;
    parts.channel.listener = this;
    void this.ended.then((failure) => this.#over(failure));
    this.#pingWhenIdle();
  }

  apply(request: ApplyRequest): Promise<Answer<ApplyResult>> {
    const { applyMs, applyPerEntryMs } = this.#parts.limits;
    const entries = request.virtualServers.reduce(
      (sum, each) => sum + 1 + each.realServers.length,
      request.absent.length,
    );
    return this.#request({ op: 'apply', ...request }, applyMs + entries * applyPerEntryMs, RESULT_OF.apply);
  }

  readKeys(): Promise<Answer<ReadKeysResult>> {
    return this.#request({ op: 'read', what: 'keys' }, this.#parts.limits.readMs, RESULT_OF.readKeys);
  }

  ping(): Promise<Answer<void>> {
    return this.#request({ op: 'ping' }, this.#parts.limits.pingMs, RESULT_OF.ping);
  }

  preflight(): Promise<Answer<readonly PreflightCheck[]>> {
    return this.#request({ op: 'preflight' }, this.#parts.limits.readMs, RESULT_OF.preflight);
  }

  close(): void {
    if (this.#failure !== undefined) return;
    this.#parts.connection.close('closed by the operator');
  }

  frame(payload: Buffer): void {
    if (this.#failure !== undefined) return;
    const inFlight = this.#inFlight;
    const problem = inFlight === undefined ? 'nothing was asked' : inFlight.receive(payload);
    if (problem === undefined) return;
    const what = inFlight === undefined ? 'the helper sent a frame' : `the answer to ${inFlight.what} cannot be read`;
    this.#fail(protocolError(this.#parts.target, `${what}: ${problem}`));
  }

  tooLong(payloadBytes: number): void {
    const problem = `the helper announces a frame of ${payloadBytes} bytes, more than ${MAX_FRAME_BYTES}`;
    this.#fail(protocolError(this.#parts.target, problem));
  }

  logged(text: string): void {
    this.#parts.log.debug('The helper wrote to its log', { director: this.#parts.target.name, text });
  }

  closed(exit: HelperExit, incompleteBytes: number): void {
    const { target, channel } = this.#parts;
    if (incompleteBytes > 0) {
      const problem = `the helper's output ended in the middle of a frame, after ${incompleteBytes} bytes of it`;
      this.#fail(protocolError(target, problem));
      return;
    }
    const how = exit.signal ? `signal ${exit.signal}` : exit.code === undefined ? 'no status' : `status ${exit.code}`;
    const errors = channel.said().match(/stderr: .*/s)?.[0];
    const remedy = 'a new session will be tried; if it happens again, see what it wrote to stderr';
    this.#fail(closed(target, `the helper ended with ${how}${errors ? ` (${errors})` : ''}; ${remedy}`));
  }

  /** One request in flight at a time; the next is sent when the answer is there. */
  #request<T>(request: WireRequest, deadlineMs: number, result: ZodType<T>): Promise<Answer<T>> {
    const answer = this.#tail.then(() => this.#exchange(request, deadlineMs, result));
    this.#tail = answer;
    return answer;
  }

  async #exchange<T>(request: WireRequest, deadlineMs: number, result: ZodType<T>): Promise<Answer<T>> {
    if (this.#failure !== undefined) return { kind: 'broken', failure: this.#failure };
    const { target, channel, clock } = this.#parts;
    const id = ++this.#lastId;
    const frame = encodeRequest(id, request);
    if (!frame.ok) return tooLongToSend(target, request.op, frame.payloadBytes);
    this.#cancelIdlePing();
    return new Promise((resolve) => {
      const settle = (answer: Answer<T>) => {
        cancelDeadline();
        this.#inFlight = undefined;
        resolve(answer);
      };
      const cancelDeadline = clock.schedule(deadlineMs, () => this.#fail(noAnswer(target, request.op, deadlineMs)));
      this.#inFlight = {
        what: request.op,
        receive: (payload) => {
          const decoded: DecodedResponse<T> = decodeResponse(payload, id, result);
          if (decoded.kind === 'malformed') return decoded.problem;
          settle(decoded);
          this.#pingWhenIdle();
          return undefined;
        },
        abandon: (failure) => settle({ kind: 'broken', failure }),
      };
      channel.send(frame.bytes);
    });
  }

  /** A host that stands still says nothing; only a question shows it. */
  #pingWhenIdle(): void {
    this.#cancelIdlePing();
    const { clock, limits } = this.#parts;
    this.#cancelIdlePing = clock.schedule(limits.idleMs, () => void this.ping());
  }

  #fail(failure: DirectorFailure): void {
    this.#over(this.#parts.connection.failure ?? failure);
    this.#parts.connection.destroy(failure);
  }

  #over(failure: DirectorFailure): void {
    if (this.#failure !== undefined) return;
    this.#failure = failure;
    this.#cancelIdlePing();
    this.#inFlight?.abandon(failure);
  }
}

function tooLongToSend(target: DirectorTarget, op: string, payloadBytes: number): Answer<never> {
  const message =
    `${describeTarget(target)}: the ${op} request of ${payloadBytes} bytes is longer than a frame may be ` +
    `(${MAX_FRAME_BYTES}) and was not sent; fewer or smaller virtual servers must go into one request`;
  return { kind: 'refused', error: { class: 'protocol', message } };
}
