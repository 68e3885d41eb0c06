/**
 * Sends one UDP datagram and prints the answer:
 *
 *     node test/lab/udp-request.ts ADDRESS PORT TEXT TIMEOUT_MS
 *
 * Ends with 1 and a sentence when there is no answer.
 */
import { createSocket } from 'node:dgram';
import { isIPv6 } from 'node:net';

const [address = '', port = '', text = '', timeoutMs = ''] = process.argv.slice(2);
const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');

function fail(why: string): void {
  console.error(`no answer from ${address} port ${port}/udp: ${why}`);
  process.exit(1);
}

setTimeout(() => fail(`waited ${timeoutMs} ms`), Number(timeoutMs));
socket.on('message', (answer) => {
  process.stdout.write(answer);
  process.exit(0);
});
socket.on('error', (error) => fail(error.message));
socket.connect(Number(port), address, () => socket.send(text));
