import { readFileSync } from 'node:fs';
import type { Lab } from '../lab/lab.ts';
import { LabDir } from '../lab/lab-dir.ts';
import type { OperatorProcess } from '../lab/operator-process.ts';

/** kube-proxy on an emulated node was seen to take most of a minute to follow a pod that is replaced. */
const FOR_EMULATED_NODES = { kubeProxy: { newEndpointSeconds: 60 } };

/** The operator as the lab runs it: one process, with exactly its ServiceAccount's token, started and ended by tests. */
export class RunningOperator {
  readonly #lab: Lab;
  #process: OperatorProcess | undefined;
  #startedAt = 0;

  constructor(lab: Lab) {
    this.#lab = lab;
  }

  /** When the process that runs now was started, in milliseconds since the epoch. */
  get startedAt(): number {
    return this.#startedAt;
  }

  /** Starts it and waits until it calls itself ready. */
  async start(): Promise<void> {
    if (this.#process?.isRunning) throw new Error('the operator runs already');
    this.#startedAt = Date.now();
    const emulated = LabDir.current().state().vmNodes > 0;
    this.#process = await this.#lab.startOperator(emulated ? { config: FOR_EMULATED_NODES } : {});
  }

  /** Ends the process and waits until it is gone. */
  async stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    await this.#process?.stop(signal);
  }

  /** Everything that all operators of this lab have logged. */
  log(): string {
    return this.#process === undefined ? '' : readFileSync(this.#process.logFile, 'utf8');
  }

  /** Whom the API server takes the operator for. */
  async userName(): Promise<string> {
    const { stdout } = await this.#lab.kubectl(['auth', 'whoami', '-o', 'jsonpath={.status.userInfo.username}'], {
      as: 'operator',
    });
    return stdout;
  }
}
