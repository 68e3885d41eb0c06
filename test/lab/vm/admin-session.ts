import { connect, type Socket } from 'node:net';
import { Client, type ClientChannel } from 'ssh2';

/** How the lab's administrator gets into a machine. */
export interface AdminAccess {
  readonly host: string;
  /** OpenSSH private key of root's only authorized key. */
  readonly privateKey: string;
  /** The host's public key, `ssh-ed25519 AAAA…`. */
  readonly hostKey: string;
}

/** What a command left. `code` is -1 when a signal ended it. */
export interface CommandResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
}

interface Connection {
  readonly client: Client;
  readonly socket: Socket;
}

// A machine that is off answers no packet at all; one that is on answers the first at once, but may be slow to calculate keys.
const CONNECT_LIMIT_MS = 5_000;
const LOGIN_LIMIT_MS = 30_000;

/**
 * Commands as root on a machine, over one SSH connection that is opened when needed and again when it broke, so that a command costs
 * milliseconds and not a login. An idle session does not keep the process alive.
 */
export class AdminSession {
  readonly #access: AdminAccess;
  #connection: Promise<Connection> | undefined;
  #running = 0;

  constructor(access: AdminAccess) {
    this.#access = access;
  }

  /** Runs a shell command to its end. Any exit code is a result; only a machine that does not answer is an error. */
  async exec(command: string, timeoutMs: number): Promise<CommandResult> {
    const kept = this.#connection !== undefined;
    try {
      return await this.#attempt(command, timeoutMs);
    } catch (error) {
      // A kept connection may have died unnoticed, with the machine's last boot. Then nothing was run yet, and a new one may do.
      if (!kept || !(error instanceof ChannelNotOpened)) throw error;
      return await this.#attempt(command, timeoutMs);
    }
  }

  /** Ends the connection; the next command opens one. */
  close(): void {
    const closing = this.#connection;
    this.#connection = undefined;
    closing?.then(
      ({ client }) => client.destroy(),
      () => undefined,
    );
  }

  async #attempt(command: string, timeoutMs: number): Promise<CommandResult> {
    this.#connection ??= this.#connect();
    const opening = this.#connection;
    const connection = await opening.catch((error: unknown) => {
      if (this.#connection === opening) this.#connection = undefined;
      throw error;
    });
    this.#running += 1;
    connection.socket.ref();
    try {
      return await commandOn(connection, command, timeoutMs);
    } catch (error) {
      if (this.#connection === opening) this.close();
      throw error;
    } finally {
      this.#running -= 1;
      if (this.#running === 0) connection.socket.unref();
    }
  }

  #connect(): Promise<Connection> {
    const { host, privateKey, hostKey } = this.#access;
    const pinned = Buffer.from(hostKey.split(' ')[1] ?? '', 'base64');
    const socket = connect({ host, port: 22, noDelay: true });
    const client = new Client();
    const silent = () => socket.destroy(new Error(`no connection within ${CONNECT_LIMIT_MS / 1000} s`));
    const limit = setTimeout(silent, CONNECT_LIMIT_MS);
    socket.once('connect', () => clearTimeout(limit));
    return new Promise<Connection>((resolve, reject) => {
      client.on('error', (cause) => {
        client.destroy();
        reject(new Error(`ssh to ${host}: ${cause.message}`, { cause }));
      });
      client.once('ready', () => resolve({ client, socket }));
      client.once('close', () => {
        this.#connection = undefined;
        reject(new Error(`ssh to ${host}: closed before the login was done`));
      });
      client.connect({
        ...{ sock: socket, username: 'root', privateKey, readyTimeout: LOGIN_LIMIT_MS },
        hostVerifier: (key: Buffer) => key.equals(pinned),
      });
    }).finally(() => clearTimeout(limit));
  }
}

class ChannelNotOpened extends Error {}

function commandOn({ client }: Connection, command: string, timeoutMs: number): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const late = () => reject(new Error(`no end within ${timeoutMs / 1000} s: ${command}`));
    const limit = setTimeout(late, timeoutMs);
    const broken = () => reject(new Error(`the connection broke during: ${command}`));
    const settle = (end: () => void) => {
      clearTimeout(limit);
      client.off('close', notOpened);
      client.off('close', broken);
      end();
    };
    const notOpened = () => settle(() => reject(new ChannelNotOpened(`the connection broke before: ${command}`)));
    client.once('close', notOpened);
    client.exec(command, (error, channel) => {
      client.off('close', notOpened);
      if (error !== undefined) return settle(() => reject(new ChannelNotOpened(error.message, { cause: error })));
      client.once('close', broken);
      collect(channel, (result) => settle(() => resolve(result)));
    });
  });
}

function collect(channel: ClientChannel, done: (result: CommandResult) => void): void {
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  let code = -1;
  channel.on('data', (bytes: Buffer) => stdout.push(bytes));
  channel.stderr.on('data', (bytes: Buffer) => stderr.push(bytes));
  channel.on('exit', (status: number | null) => {
    code = status ?? -1;
  });
  channel.on('close', () =>
    done({ stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString(), code }),
  );
}
