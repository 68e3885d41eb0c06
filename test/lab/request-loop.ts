/**
 * A client that asks again and again, each time over a new connection (or from a new UDP port), and keeps account:
 *
 *     node test/lab/request-loop.ts URL REQUESTS_PER_SECOND REQUEST_TIMEOUT_MS LONGEST_MS
 *
 * URL is http://HOST:PORT/PATH or udp://HOST:PORT/TEXT. Requests start at a fixed rate, whether or not earlier ones have
 * been answered. Every 100 ms it prints a LoopReport as one line of JSON. When standard input ends, or after
 * LONGEST_MS, it starts no more requests, waits for those under way, prints the last report and ends.
 */
import { createSocket } from 'node:dgram';
import { get } from 'node:http';
import { isIPv6 } from 'node:net';

/** One request that was not answered as it should. */
export interface LoopFailure {
  /** When the request was sent, ISO 8601. */
  readonly at: string;
  readonly error: string;
}

/** What a loop has seen so far. */
export interface LoopReport {
  /** Requests that have ended, well or badly. */
  readonly requests: number;
  readonly failures: readonly LoopFailure[];
  /** Answers by their text: with /hostname, the names of the pods. */
  readonly answersByHostname: Readonly<Record<string, number>>;
  /** Duration of the slowest answered request. A lost packet shows here as 1,000 ms, the first TCP retransmission. */
  readonly slowestMs: number;
}

const [urlText = '', rate = '', timeout = '', longest = ''] = process.argv.slice(2);
const url = new URL(urlText);
const timeoutMs = Number(timeout);
const failures: LoopFailure[] = [];
const answersByHostname: Record<string, number> = {};
let [requests, underWay, slowestMs] = [0, 0, 0];

async function request(): Promise<void> {
  const at = new Date().toISOString();
  const start = performance.now();
  underWay += 1;
  try {
    const answer = url.protocol === 'udp:' ? await askByUdp() : await askByHttp();
    answersByHostname[answer] = (answersByHostname[answer] ?? 0) + 1;
    slowestMs = Math.max(slowestMs, Math.round(performance.now() - start));
  } catch (error) {
    failures.push({ at, error: error instanceof Error ? error.message : String(error) });
  }
  requests += 1;
  underWay -= 1;
}

function askByHttp(): Promise<string> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(timeoutMs);
    const fail = (error: Error) =>
      reject(signal.aborted ? new Error(`no answer within ${timeoutMs} ms`, { cause: error }) : error);
    get(url, { agent: false, signal }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      response.on('error', fail);
      response.on('end', () => {
        if (response.statusCode === 200) resolve(body.trim());
        else reject(new Error(`HTTP status ${response.statusCode}`));
      });
    }).on('error', fail);
  });
}

function askByUdp(): Promise<string> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4');
  return new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    socket.on('message', (answer) => {
      clearTimeout(timer);
      resolve(answer.toString().trim());
    });
    socket.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    // Connected, so that an ICMP error (port unreachable) reaches the socket.
    socket.connect(Number(url.port), host, () => socket.send(decodeURIComponent(url.pathname.slice(1))));
  }).finally(() => socket.close());
}

function print(written?: () => void): void {
  const report: LoopReport = { requests, failures, answersByHostname, slowestMs };
  process.stdout.write(`${JSON.stringify(report)}\n`, written);
}

const sending = setInterval(() => void request(), 1000 / Number(rate));
const printing = setInterval(() => print(), 100);
function end(): void {
  clearInterval(sending);
  const draining = setInterval(() => {
    if (underWay > 0) return;
    clearInterval(draining);
    clearInterval(printing);
    // A long report is more than a pipe takes at once.
    print(() => process.exit(0));
  }, 10);
}
void request();
setTimeout(end, Number(longest)).unref();
process.stdin.on('end', end).on('error', end).resume();
