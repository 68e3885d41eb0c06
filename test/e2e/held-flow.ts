import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { ClientName } from './answers.ts';
import { eventually } from './eventually.ts';

const PROGRAM = fileURLToPath(new URL('./hold-flow.ts', import.meta.url));

/** One client's datagrams from one port, which ask all the time who answers. */
export class HeldFlow {
  readonly #child: ChildProcess;
  #last = '';
  #inARow = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    assert.ok(child.stdout);
    createInterface(child.stdout).on('line', (pod) => {
      this.#inARow = pod === this.#last ? this.#inARow + 1 : 1;
      this.#last = pod;
    });
  }

  static open(client: ClientName, address: string, port: number): HeldFlow {
    const command = ['netns', 'exec', client, process.execPath, PROGRAM, address, String(port)];
    return new HeldFlow(spawn('ip', command, { stdio: ['pipe', 'pipe', 'inherit'] }));
  }

  /** Waits until the pod has given so many answers from now on and nobody else in between. */
  async answeredBy(pod: string, answers = 10): Promise<void> {
    this.#inARow = 0;
    await eventually(`${answers} answers in a row from ${pod}`, async () => {
      assert.equal(this.#last, pod, `the last of ${this.#inARow} came from ${this.#last}`);
      return this.#inARow >= answers;
    });
  }

  async close(): Promise<void> {
    this.#child.stdin?.end();
    if (this.#child.exitCode === null) await once(this.#child, 'close');
  }
}
