import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { ClientName } from './addresses.ts';
import type { LoopReport } from './request-loop.ts';
import { runProgram } from './run-program.ts';
import { waitFor } from './wait-for.ts';

const REQUEST_LOOP = fileURLToPath(new URL('./request-loop.ts', import.meta.url));
const UDP_REQUEST = fileURLToPath(new URL('./udp-request.ts', import.meta.url));

/** An HTTP answer; status 0 and the reason in `error` when there was none. */
export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly error?: string;
}

export interface LoopOptions {
  /** Default 20. */
  readonly requestsPerSecond?: number;
  /** A request without an answer for so long has failed. Default 3,000 ms. */
  readonly timeoutMs?: number;
  /** The loop ends by itself after this time. Default 600,000 ms. */
  readonly longestMs?: number;
}

/** A host outside the cluster, in a network namespace of its own behind the router. */
export class Client {
  readonly name: ClientName;

  constructor(name: ClientName) {
    this.name = name;
  }

  /** GET over a new connection. No answer within `timeoutMs` (default 5,000), refused and the like are answers of status 0. */
  async get(url: string, options: { readonly timeoutMs?: number } = {}): Promise<Answer> {
    const seconds = String((options.timeoutMs ?? 5_000) / 1000);
    const curl = ['curl', '-sS', '--globoff', '--max-time', seconds, '-w', '\n%{http_code}', url];
    const { stdout, stderr, code } = await runProgram('ip', ['netns', 'exec', this.name, ...curl]);
    const end = stdout.lastIndexOf('\n');
    const [body, status] = [stdout.slice(0, Math.max(end, 0)), Number(stdout.slice(end + 1))];
    return code === 0 ? { status, body } : { status: 0, body, error: stderr.trim() };
  }

  /** Sends one datagram from a new port and returns the answer; an error after `timeoutMs` (default 3,000) without one. */
  async udp(
    address: string,
    port: number,
    text: string,
    options: { readonly timeoutMs?: number } = {},
  ): Promise<string> {
    const request = [UDP_REQUEST, address, String(port), text, String(options.timeoutMs ?? 3_000)];
    const { stdout, stderr, code } = await runProgram('ip', ['netns', 'exec', this.name, process.execPath, ...request]);
    if (code !== 0) throw new Error(`${this.name}: ${stderr.trim()}`);
    return stdout;
  }

  /**
   * Starts a client that asks continuously, over a new connection each time, until stop. The URL is
   * http://HOST:PORT/hostname or udp://HOST:PORT/hostname. Returns when the first request has ended.
   */
  async loop(url: string, options: LoopOptions = {}): Promise<RunningLoop> {
    const { requestsPerSecond = 20, timeoutMs = 3_000, longestMs = 600_000 } = options;
    const numbers = [requestsPerSecond, timeoutMs, longestMs].map(String);
    const command = ['netns', 'exec', this.name, process.execPath, REQUEST_LOOP, url, ...numbers];
    const loop = new RunningLoop(
      `${this.name} asking ${url}`,
      spawn('ip', command, { stdio: ['pipe', 'pipe', 'inherit'] }),
    );
    await loop.reaches(1);
    return loop;
  }
}

/** A client loop under way. */
export class RunningLoop {
  readonly #what: string;
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  #report: LoopReport = { requests: 0, failures: [], answersByHostname: {}, slowestMs: 0 };

  constructor(what: string, child: ChildProcess) {
    this.#what = what;
    this.#child = child;
    this.#ended = once(child, 'close');
    if (child.stdout === null) throw new Error('the loop needs a pipe for its reports');
    createInterface(child.stdout).on('line', (line) => {
      this.#report = JSON.parse(line) as LoopReport;
    });
  }

  /** What the loop has seen until now (at most 100 ms ago). */
  soFar(): LoopReport {
    return this.#report;
  }

  /** Waits until so many more requests have ended than when this was called. */
  async reaches(more: number): Promise<LoopReport> {
    const from = this.#report.requests;
    return await waitFor(
      `${more} more requests of ${this.#what}`,
      (see) => {
        see(this.#report);
        if (this.#child.exitCode !== null) throw new Error(`the loop ended with ${this.#child.exitCode}`);
        return this.#report.requests - from >= more ? this.#report : undefined;
      },
      { timeoutMs: 30_000 + more * 200, everyMs: 50 },
    );
  }

  /** Sends no more requests. */
  finish(): void {
    this.#child.stdin?.end();
  }

  /** Sends no more requests, waits for those under way, and returns the whole account. */
  async stop(): Promise<LoopReport> {
    this.finish();
    await this.#ended;
    return this.#report;
  }
}
