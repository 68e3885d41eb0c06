import { readFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { ROUTER } from '../lab/addresses.ts';
import { DIRECTOR_USER } from '../lab/image/base-image.ts';
import type { Lab } from '../lab/lab.ts';
import type { DirectorVm } from '../lab/vm/director-vm.ts';
import { type Place, placesOf } from './installation.ts';

const FOLDER = '/run/strangers';
const [NO_HELPER_PORT, FUTURE_PORT, SILENT_PORT, CLOSED_PORT, TALKING_PORT] = [2222, 2223, 2224, 2225, 2226];

/** Addresses behind which there is no director for us: real sshds without the right helper, and ports that are no sshd at all. */
export class Strangers {
  readonly withoutHelper: Place;
  readonly withHelperOfTheFuture: Place;
  readonly silentPort: Place;
  readonly closedPort: Place;
  readonly otherProtocol: Place;
  readonly #host: DirectorVm;
  readonly #servers: readonly Server[];

  private constructor(host: DirectorVm, address: string, servers: readonly Server[]) {
    const at = (where: string, port: number): Place => ({
      address: where,
      port,
      user: DIRECTOR_USER.name,
      hostKeys: [host.hostKey],
    });
    this.#host = host;
    this.#servers = servers;
    this.withoutHelper = at(address, NO_HELPER_PORT);
    this.withHelperOfTheFuture = at(address, FUTURE_PORT);
    this.silentPort = at(ROUTER.v4, SILENT_PORT);
    this.closedPort = at(ROUTER.v4, CLOSED_PORT);
    this.otherProtocol = at(ROUTER.v4, TALKING_PORT);
  }

  /** Starts two more sshds on the host, which let the operator's key in but do not lead it to the right helper, and two sockets on the router. */
  static async start(lab: Lab): Promise<Strangers> {
    const [host] = lab.directors;
    const [place] = placesOf(lab);
    if (host === undefined || place === undefined) throw new Error('the lab has no director to start sshds on');
    const operatorPublicKey = readFileSync(`${lab.operatorKeyFile}.pub`, 'utf8').trim();
    const hello = frame({
      type: 'hello',
      protocol: { min: 99, max: 99 },
      version: '99.0.0',
      owner: 'prod',
    });
    const forced = `command="${FOLDER}/helper",restrict ${operatorPublicKey}`;
    await host.read(
      [
        `mkdir -p ${FOLDER}`,
        write('hello', hello),
        write('helper', Buffer.from(`#!/bin/sh\ncat ${FOLDER}/hello\ncat >/dev/null\n`)),
        `chmod 755 ${FOLDER} ${FOLDER}/helper`,
        write('keys-plain', Buffer.from(`${operatorPublicKey}\n`)),
        write('keys-forced', Buffer.from(`${forced}\n`)),
        sshd(NO_HELPER_PORT, 'keys-plain'),
        sshd(FUTURE_PORT, 'keys-forced'),
      ].join(' && '),
    );
    const silent = await listen(SILENT_PORT, () => undefined);
    const talking = await listen(TALKING_PORT, (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    return new Strangers(host, place.address, [silent, talking]);
  }

  async stop(): Promise<void> {
    for (const server of this.#servers) server.close();
    await this.#host.exec(`kill $(cat ${FOLDER}/*.pid); rm -rf ${FOLDER}`);
  }
}

function sshd(port: number, keys: string): string {
  const options = [
    `Port=${port}`,
    `PidFile=${FOLDER}/${port}.pid`,
    `AuthorizedKeysFile=${FOLDER}/${keys}`,
    'StrictModes=no',
  ];
  return `/usr/sbin/sshd ${options.map((option) => `-o ${option}`).join(' ')}`;
}

function write(name: string, contents: Buffer): string {
  return `echo ${contents.toString('base64')} | base64 -d >${FOLDER}/${name}`;
}

/** A frame as docs/wire-protocol.md describes it. */
function frame(message: object): Buffer {
  const body = Buffer.from(JSON.stringify(message));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  return Buffer.concat([length, body]);
}

/** The tests run in the namespace of the lab's router. Unreferenced: a forgotten socket must not keep the tests alive. */
function listen(port: number, answer: (socket: Socket) => void): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined).unref();
    answer(socket);
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject).listen(port, ROUTER.v4, () => resolve(server.unref()));
  });
}
