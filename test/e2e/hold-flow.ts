/**
 * A client that asks `hostname` over UDP from one port, ten times a second, and prints each answer as a line, until its input ends:
 *
 *     node hold-flow.ts ADDRESS PORT
 */
import { createSocket } from 'node:dgram';
import { isIPv6 } from 'node:net';

const [address = '', port = ''] = process.argv.slice(2);
const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
socket.on('message', (answer) => process.stdout.write(`${answer.toString().trim()}\n`));
// Connected, so that it is told when a port is closed; then it asks again all the same.
socket.on('error', () => {});
socket.connect(Number(port), address, () => setInterval(() => socket.send('hostname', () => {}), 100));
process.stdin.on('end', () => process.exit(0)).resume();
