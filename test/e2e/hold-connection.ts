/**
 * A client that keeps one TCP connection and asks over it again and again:
 *
 *     node test/e2e/hold-connection.ts ADDRESS PORT
 *
 * Prints one line per answer. When standard input ends it ends with code 0. When the connection ends before, or an answer does not come within
 * 5 s, it says why on standard error and ends with code 1.
 */
import { connect } from 'node:net';

const [address = '', port = ''] = process.argv.slice(2);
const connection = connect({ host: address, port: Number(port) });
connection.setEncoding('utf8');
connection.setTimeout(5_000, () => fail('no answer within 5 s'));
connection.on('error', (error) => fail(error.message));
connection.on('close', () => fail('the other end has closed it'));
connection.on('connect', ask);
connection.on('data', (text: string) => {
  if (!text.startsWith('HTTP/1.1 200 ')) fail(`the answer is ${JSON.stringify(text)}`);
  console.log(text.split('\r\n\r\n')[1]?.trim());
  setTimeout(ask, 100);
});
process.stdin.on('end', () => process.exit(0)).resume();

function ask(): void {
  connection.write(`GET /hostname HTTP/1.1\r\nHost: ${address}\r\n\r\n`);
}

function fail(why: string): never {
  console.error(why);
  process.exit(1);
}
