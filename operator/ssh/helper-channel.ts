import type { ClientChannel } from 'ssh2';
import { printable } from '../lib/printable.ts';
import { FrameDecoder } from './frames.ts';

/** How the command at the other end finished; both undefined when the host did not say. */
export interface HelperExit {
  readonly code?: number;
  readonly signal?: string;
}

/** Receives what the helper sends, synchronously and in order. */
export interface HelperChannelListener {
  frame(payload: Buffer): void;
  /** The stream claims a frame over the limit; nothing follows. */
  tooLong(payloadBytes: number): void;
  /** A piece of the helper's log, printable. */
  logged(text: string): void;
  /** The channel is closed by the host. `incompleteBytes`: of a frame that was cut off. */
  closed(exit: HelperExit, incompleteBytes: number): void;
}

/** Bytes of each stream that are kept for the message that explains why a host is no director. */
const KEPT_BYTES = 1024;

/**
 * Frames over an SSH channel. The listener can be exchanged between two frames of one network packet, which a promise could not do:
 * it would run after both.
 */
export class HelperChannel {
  listener: HelperChannelListener;
  readonly #stream: ClientChannel;
  readonly #decoder = new FrameDecoder();
  #exit: HelperExit = {};
  #output = '';
  #errors = '';

  constructor(stream: ClientChannel, listener: HelperChannelListener) {
    this.#stream = stream;
    this.listener = listener;
    stream.on('data', (chunk: Buffer) => this.#received(chunk));
    stream.stderr.on('data', (chunk: Buffer) => this.#logged(chunk));
    stream.on('exit', (code: number | null, signal?: string) => {
      this.#exit = { ...(code !== null && { code }), ...(signal !== undefined && { signal }) };
    });
    stream.on('close', () => this.listener.closed(this.#exit, this.#decoder.incompleteBytes));
    // After a broken connection a write fails here too; the connection reports why.
    stream.on('error', () => undefined);
    stream.stderr.on('error', () => undefined);
  }

  /** Sends a frame. At most one request is in flight, so at most one frame is ever buffered. */
  send(frame: Buffer): void {
    if (this.#stream.writable) this.#stream.write(frame);
  }

  /** The first printable characters of what came on stdout and stderr, for a person to recognise. Empty when nothing came. */
  said(): string {
    const output = printable(this.#output, 200);
    const errors = printable(this.#errors, 200);
    return [output && `output: "${output}"`, errors && `stderr: "${errors}"`].filter(Boolean).join(', ');
  }

  #received(chunk: Buffer): void {
    if (this.#output.length < KEPT_BYTES) this.#output += chunk.toString('utf8', 0, KEPT_BYTES);
    for (const frame of this.#decoder.push(chunk)) {
      if (frame.kind === 'frame') this.listener.frame(frame.payload);
      else this.listener.tooLong(frame.payloadBytes);
    }
  }

  #logged(chunk: Buffer): void {
    if (this.#errors.length < KEPT_BYTES) this.#errors += chunk.toString('utf8', 0, KEPT_BYTES);
    this.listener.logged(printable(chunk.toString('utf8', 0, KEPT_BYTES), KEPT_BYTES));
  }
}
