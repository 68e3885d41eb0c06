import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { ClientName } from './answers.ts';
import { eventually } from './eventually.ts';

const PROGRAM = fileURLToPath(new URL('./hold-connection.ts', import.meta.url));

/** One TCP connection of a client, over which it asks all the time. */
export class HeldConnection {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  #answers = 0;
  #trouble = '';

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#ended = once(child, 'close');
    assert.ok(child.stdout && child.stderr);
    createInterface(child.stdout).on('line', () => {
      this.#answers += 1;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#trouble += text;
    });
  }

  /** Connects, and waits for the first answer. */
  static async open(client: ClientName, address: string, port = 80): Promise<HeldConnection> {
    const command = ['netns', 'exec', client, process.execPath, PROGRAM, address, String(port)];
    const connection = new HeldConnection(spawn('ip', command, { stdio: 'pipe' }));
    await connection.answers(1);
    return connection;
  }

  /** Waits for so many more answers, all over the same connection. */
  async answers(more: number): Promise<void> {
    const from = this.#answers;
    await eventually(`${more} more answers over a connection that is held`, async () => {
      assert.equal(this.#child.exitCode, null, `the connection broke after ${this.#answers} answers: ${this.#trouble}`);
      return this.#answers >= from + more;
    });
  }

  /** Ends the connection, which must have lived until now. */
  async close(): Promise<void> {
    this.#child.stdin?.end();
    await this.#ended;
    assert.equal(this.#child.exitCode, 0, `the connection broke after ${this.#answers} answers: ${this.#trouble}`);
  }
}
