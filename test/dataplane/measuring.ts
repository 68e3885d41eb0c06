import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Measurement, Reply } from './measuring-client.ts';

const CLIENT = fileURLToPath(new URL('./measuring-client.ts', import.meta.url));

/** A measuring client at work in a client's namespace; what it holds stays open until {@link end}. */
export class Measuring {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;
  readonly #reader: Interface;

  private constructor(namespace: string, what: Measurement) {
    this.#child = spawn('ip', ['netns', 'exec', namespace, process.execPath, CLIENT, JSON.stringify(what)]);
    this.#child.stderr.pipe(process.stderr);
    this.#reader = createInterface({ input: this.#child.stdout });
    this.#lines = this.#reader[Symbol.asyncIterator]();
  }

  /** Starts one, and returns it with the first replies. */
  static async start(
    namespace: string,
    what: Measurement,
  ): Promise<{ readonly client: Measuring; readonly replies: Reply[] }> {
    const client = new Measuring(namespace, what);
    return { client, replies: await client.#next() };
  }

  /** Asks more. */
  async more(what: Measurement): Promise<Reply[]> {
    this.#child.stdin.write(`${JSON.stringify(what)}\n`);
    return await this.#next();
  }

  /** Closes the connections that this real server answered, in the orderly way; how many they were. */
  async close(realServer: string): Promise<number> {
    this.#child.stdin.write(`${JSON.stringify({ close: realServer })}\n`);
    return (await this.#next()).length;
  }

  async end(): Promise<void> {
    const ended = once(this.#child, 'close');
    this.#child.stdin.end();
    await ended;
  }

  async #next(): Promise<Reply[]> {
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error('the measuring client ended early');
    return JSON.parse(value) as Reply[];
  }
}

/** One measurement from start to end. */
export async function measure(namespace: string, what: Measurement): Promise<Reply[]> {
  const { client, replies } = await Measuring.start(namespace, what);
  await client.end();
  return replies;
}

/** How many replies each real server gave, in the order of these names. A request without a reply is an error. */
export function countByServer(replies: readonly Reply[], names: readonly string[]): number[] {
  const failed = replies.find(({ error }) => error !== undefined);
  if (failed !== undefined) {
    const number = replies.filter(({ error }) => error !== undefined).length;
    throw new Error(
      `${number} of ${replies.length} requests failed, the first from ${failed.source ?? 'anywhere'} to ${failed.address}: ${failed.error}`,
    );
  }
  const strange = replies.find(({ answer }) => !names.includes(answer ?? ''));
  if (strange !== undefined) throw new Error(`${strange.answer} answered, who is none of ${names.join(', ')}`);
  return names.map((name) => replies.filter(({ answer }) => answer === name).length);
}

/** Who served each client (or each address asked): an error when one was served by two. */
export function serverOf(replies: readonly Reply[], by: 'source' | 'address'): ReadonlyMap<string, string> {
  const result = new Map<string, string>();
  for (const reply of replies) {
    const [key, answer] = [reply[by] ?? '', reply.answer ?? `error: ${reply.error}`];
    const before = result.get(key);
    if (before !== undefined && before !== answer)
      throw new Error(`${by} ${key} was served by ${before} and by ${answer}`);
    result.set(key, answer);
  }
  return result;
}
