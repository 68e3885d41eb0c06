import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import ssh2, { type ServerChannel } from 'ssh2';
import { encodeFrame, FrameDecoder } from '../../../operator/ssh/frames.ts';
import { generateKey, type TestKey } from './keys.ts';

const hostKey = generateKey();

/** What an in-process SSH server does where a director would run its helper. */
export interface Script {
  /** Called for each command; the default says hello and is silent then. */
  readonly run?: (channel: ServerChannel) => void;
  readonly hostKey?: TestKey;
  readonly algorithms?: ssh2.ServerConfig['algorithms'];
}

/** An SSH server that misbehaves to order. Accepts every key: who may log in is what the tests with a real sshd are about. */
export interface ScriptedHost {
  readonly port: number;
  readonly hostKeys: readonly string[];
  /** Commands that clients asked for. */
  readonly commands: readonly string[];
  /** Closes the listener and every connection. */
  stop(): Promise<void>;
}

export async function startScriptedHost(script: Script): Promise<ScriptedHost> {
  const key = script.hostKey ?? hostKey;
  const commands: string[] = [];
  const clients = new Set<ssh2.Connection>();
  const config = { hostKeys: [key.privateKey], ...(script.algorithms && { algorithms: script.algorithms }) };
  const server = new ssh2.Server(config, (client) => {
    clients.add(client);
    // The types lack it. Without it Nagle's algorithm makes every test wait for delayed acknowledgements.
    (client as ssh2.Connection & { setNoDelay(noDelay: boolean): void }).setNoDelay(true);
    client
      .on('authentication', (attempt) => attempt.accept())
      .on('close', () => clients.delete(client))
      .on('error', () => undefined)
      .on('ready', () => {
        client.on('session', (acceptSession) => {
          acceptSession().on('exec', (acceptCommand, _reject, info) => {
            commands.push(info.command);
            const channel = acceptCommand();
            channel.on('error', () => undefined);
            (script.run ?? sayHello)(channel);
          });
        });
      });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    hostKeys: [key.publicLine],
    commands,
    stop: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const client of clients) client.end();
      await closed;
    },
  };
}

/** A hello like a fit helper's, with overrides. */
export function helloWith(overrides: Readonly<Record<string, unknown>> = {}): Readonly<Record<string, unknown>> {
  return {
    type: 'hello',
    protocol: { min: 1, max: 1 },
    version: '0.1.0',
    owner: 'prod',
    bootId: 'boot',
    machineId: 'machine',
    netns: '4026531840',
    kernel: '6.1.0',
    epoch: 0,
    generation: 0,
    capabilities: {
      ipvs: true,
      netAdmin: true,
      schedulers: ['mh'],
      forwardingMethods: ['DirectRouting'],
      families: ['IPv4'],
    },
    problems: [],
    ...overrides,
  };
}

export function sayHello(channel: ServerChannel): void {
  channel.write(frameOf(helloWith()));
}

/** Says hello and hands each request to `answer`, which writes what it likes. */
export function answering(
  answer: (request: ReceivedRequest, channel: ServerChannel) => void,
): (channel: ServerChannel) => void {
  return (channel) => {
    const decoder = new FrameDecoder();
    channel.on('data', (chunk: Buffer) => {
      for (const frame of decoder.push(chunk)) {
        if (frame.kind === 'frame') answer(JSON.parse(frame.payload.toString('utf8')), channel);
      }
    });
    sayHello(channel);
  };
}

/** A request as it came over the wire. */
export interface ReceivedRequest {
  readonly id: number;
  readonly op: string;
}

/** A ping's answer. */
export function pong(request: ReceivedRequest): Buffer {
  return frameOf({ id: request.id, ok: true, result: {} });
}

/** The bytes of one frame. */
export function frameOf(value: object): Buffer {
  const frame = encodeFrame(value);
  if (!frame.ok) throw new Error(`a test frame of ${frame.payloadBytes} bytes is too long`);
  return frame.bytes;
}
