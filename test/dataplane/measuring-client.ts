/**
 * Opens connections (or sends datagrams) one after the other and tells who answered each:
 *
 *     node test/dataplane/measuring-client.ts SPECIFICATION
 *
 * SPECIFICATION is a {@link Measurement} as JSON. It prints one line of JSON, an array of {@link Reply} in the order of asking.
 * With `hold` all connections stay open; it prints the line when the last is open. Each line on standard input is then a further
 * request as JSON: `{"close": "rs1"}` closes those that rs1 answered, a Measurement opens more; after each it prints a line again.
 * It ends, and everything it holds with it, when standard input ends.
 */
import { createSocket } from 'node:dgram';
import { connect, isIPv6, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

/** What to ask. */
export interface Measurement {
  readonly protocol: 'TCP' | 'UDP';
  /** Where to; each address is asked `each` times. */
  readonly addresses: readonly string[];
  readonly port: number;
  /** Source addresses; each of them asks. The system's choice when left out. */
  readonly sources?: readonly string[];
  /** Requests from each source to each address. Source by source when `sources` are given, but all sources before the second of one. */
  readonly each: number;
  /** TCP: leave the connections open. UDP: all datagrams of one source to one address from one port. */
  readonly hold?: boolean;
  /** TCP: so many bytes are sent when the name has come, and have to come back. */
  readonly echoBytes?: number;
  /** A request without its answer (and echo) for so long has failed. 5,000 when left out. */
  readonly patienceMs?: number;
}

/** One request and what came of it. */
export interface Reply {
  readonly source?: string;
  readonly address: string;
  /** Name of the real server. */
  readonly answer?: string;
  readonly error?: string;
}

const PATIENCE_MS = 5_000;
const held: { readonly answer: string; readonly socket: Socket }[] = [];

async function measure(what: Measurement): Promise<Reply[]> {
  const replies: Reply[] = [];
  for (let round = 0; round < what.each; round++) {
    for (const address of what.addresses) {
      for (const source of what.sources ?? [undefined]) {
        const about = { address, ...(source === undefined ? {} : { source }) };
        try {
          const answer =
            what.protocol === 'TCP' ? await byTcp(what, address, source) : await byUdp(what, address, source);
          replies.push({ ...about, answer });
        } catch (error) {
          replies.push({ ...about, error: error instanceof Error ? codeOf(error) : String(error) });
        }
      }
    }
  }
  return replies;
}

/** ECONNREFUSED and the like, which unlike the message names no port. */
function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message;
}

function byTcp(what: Measurement, host: string, source: string | undefined): Promise<string> {
  const socket = connect({ host, port: what.port, ...(source === undefined ? {} : { localAddress: source }) });
  const patience = what.patienceMs ?? PATIENCE_MS;
  return new Promise<string>((resolve, reject) => {
    let seen = 'no answer';
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`${seen} within ${patience} ms`));
    }, patience);
    const done = (answer: string) => {
      clearTimeout(timer);
      if (what.hold === true) held.push({ answer, socket });
      else socket.destroy();
      resolve(answer);
    };
    socket.setEncoding('utf8').once('data', (text: string) => {
      const answer = text.trim();
      if (what.echoBytes === undefined) return done(answer);
      const sent = Array.from({ length: what.echoBytes }, (_, i) => i % 10).join('');
      let back = '';
      socket.on('data', (more: string) => {
        back += more;
        seen = `${back.length} of ${sent.length} bytes back from ${answer}`;
        if (back === sent) done(answer);
      });
      socket.write(sent);
    });
    socket.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
  });
}

const datagramSockets = new Map<string, ReturnType<typeof createSocket>>();

async function byUdp(what: Measurement, host: string, source: string | undefined): Promise<string> {
  const patience = what.patienceMs ?? PATIENCE_MS;
  const flow = `${source} ${host} ${what.port}`;
  const kept = what.hold === true ? datagramSockets.get(flow) : undefined;
  const socket = kept ?? createSocket(isIPv6(host) ? 'udp6' : 'udp4');
  if (kept === undefined) {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind(0, source, () => socket.connect(what.port, host, () => resolve()));
    });
    if (what.hold === true) datagramSockets.set(flow, socket);
  }
  try {
    return await new Promise<string>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no answer within ${patience} ms`)), patience);
      socket.removeAllListeners('message').removeAllListeners('error');
      socket.once('message', (answer) => {
        clearTimeout(timer);
        resolve(answer.toString().trim());
      });
      socket.once('error', (error) => {
        clearTimeout(timer);
        reject(error);
      });
      socket.send('who');
    });
  } finally {
    if (what.hold !== true) socket.close();
  }
}

async function closeHeld(answer: string): Promise<Reply[]> {
  const closing = held.filter((each) => each.answer === answer);
  const ends = closing.map(({ socket }) => new Promise<void>((resolve) => socket.once('close', () => resolve()).end()));
  await Promise.all(ends);
  for (const each of closing) held.splice(held.indexOf(each), 1);
  return closing.map(() => ({ address: '', answer }));
}

function print(replies: readonly Reply[]): void {
  process.stdout.write(`${JSON.stringify(replies)}\n`);
}

print(await measure(JSON.parse(process.argv[2] ?? '') as Measurement));
for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line) as Measurement | { readonly close: string };
  print('close' in request ? await closeHeld(request.close) : await measure(request));
}
process.exit(0);
