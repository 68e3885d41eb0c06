import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { CONTROL_PLANE } from './addresses.ts';
import { OPERATOR } from './lab-dir.ts';
import { runProgram } from './run-program.ts';
import { waitFor } from './wait-for.ts';

const STOP_TIMEOUT_MS = 30_000;
/** containerPort `health` of config/manager/deployment.yaml. */
const HEALTH_PORT = 8081;

/** `dist/ipvs-operator` as a process in the namespace of the control plane. */
export class OperatorProcess {
  /** Its output, of all its processes in one lab one after the other: JSON lines. */
  readonly logFile: string;
  readonly #child: ChildProcess;
  /** Length of the log file before this process. */
  readonly #from: number;
  #exit: string | undefined;

  private constructor(child: ChildProcess, logFile: string, from: number) {
    this.#child = child;
    this.logFile = logFile;
    this.#from = from;
    child.on('exit', (code, signal) => {
      this.#exit = signal ?? String(code);
    });
    child.on('error', (error) => {
      this.#exit = error.message;
    });
  }

  /** Starts the operator; it is not ready yet when this returns. */
  static start(options: { readonly args: readonly string[]; readonly logFile: string }): OperatorProcess {
    const log = openSync(options.logFile, 'a');
    const from = readFileSync(options.logFile).length;
    const child = spawn('ip', ['netns', 'exec', 'cp', OPERATOR, ...options.args], { stdio: ['ignore', log, log] });
    closeSync(log);
    return new OperatorProcess(child, options.logFile, from);
  }

  get isRunning(): boolean {
    return this.#exit === undefined;
  }

  /** What this process has logged. */
  log(): string {
    return readFileSync(this.logFile).subarray(this.#from).toString();
  }

  /** Waits until it calls itself ready. */
  async waitReady(timeoutMs = 60_000): Promise<void> {
    await waitFor(
      `the operator to be ready (log: ${this.logFile})`,
      async (see) => {
        if (!this.isRunning)
          throw new Error(`it ended (${this.#exit}): ${this.log().trim().split('\n').slice(-3).join(' / ')}`);
        const url = `http://${CONTROL_PLANE.v4}:${HEALTH_PORT}/readyz`;
        const { stdout, stderr, code } = await runProgram('curl', ['-sSf', '--max-time', '2', url]);
        see(stderr || stdout);
        return code === 0 ? true : undefined;
      },
      { timeoutMs },
    );
  }

  /** Sends the signal (default SIGTERM) and waits until the process has ended. Nothing to do when it has ended already. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (!this.isRunning) return;
    this.#child.kill(signal);
    try {
      await waitFor(`the operator to end after ${signal}`, () => (this.isRunning ? undefined : true), {
        timeoutMs: STOP_TIMEOUT_MS,
        everyMs: 20,
      });
    } catch (error) {
      this.#child.kill('SIGKILL');
      throw error;
    }
  }
}
