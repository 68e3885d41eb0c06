import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createConnection, createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { generateKey, type TestKey } from './keys.ts';

export interface OpenSshOptions {
  /** The forced command of the key. */
  readonly command: string;
  /** The one key that may log in. */
  readonly clientKey: TestKey;
  /** Further lines of sshd_config. */
  readonly config?: readonly string[];
}

/** A real OpenSSH server on loopback, for this test alone. */
export interface OpenSshHost {
  readonly port: number;
  readonly user: string;
  readonly hostKeys: readonly string[];
  /** What sshd has logged so far. */
  log(): string;
  /** Stops or continues sshd and everything that it runs, as a host that stands still does. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void;
  stop(): Promise<void>;
}

const SSHD = '/usr/sbin/sshd';
const FIXED_CONFIG = [
  'ListenAddress 127.0.0.1',
  'PidFile none',
  'UsePAM no',
  'UseDNS no',
  'StrictModes no',
  'PermitRootLogin yes',
  'PasswordAuthentication no',
  // bash below sshd reads the start-up files of whoever runs the tests, however slow they are, unless it is below another shell.
  'SetEnv SHLVL=2',
];
const isRoot = process.getuid?.() === 0;

/**
 * Starts sshd with a host key, a configuration and an authorized_keys line of its own. Everything it starts dies with it. As root it
 * wants an empty /run/sshd, which only a running system sshd has, and without PAM it lets nobody in whose password is locked, as root's
 * is on many machines: it gets both in namespaces of its own.
 */
export async function startOpenSshHost({ command, clientKey, config = [] }: OpenSshOptions): Promise<OpenSshHost> {
  const directory = mkdtempSync(join(tmpdir(), 'director-sshd-'));
  const hostKey = generateKey();
  const port = await freePort();
  const file = (name: string, content: string) => {
    writeFileSync(join(directory, name), content, { mode: 0o600 });
    return join(directory, name);
  };
  const forced = `command="${command.replaceAll('"', '\\"')}",restrict ${clientKey.publicLine}\n`;
  const files = [
    `HostKey ${file('host-key', hostKey.privateKey)}`,
    `AuthorizedKeysFile ${file('authorized-keys', forced)}`,
  ];
  const lines = [...config, `Port ${port}`, ...files, ...FIXED_CONFIG];
  const sshd = spawnSshd(file('sshd-config', `${lines.join('\n')}\n`));
  let log = '';
  sshd.stderr?.setEncoding('utf8').on('data', (text: string) => {
    log += text;
  });
  const stop = async () => {
    const exited = sshd.exitCode === null && sshd.signalCode === null ? once(sshd, 'exit') : undefined;
    end(sshd.pid);
    await exited;
    rmSync(directory, { recursive: true });
  };
  try {
    await listening(port, sshd, () => log);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    port,
    user: userInfo().username,
    hostKeys: [hostKey.publicLine],
    log: () => log,
    signal: (signal) => {
      for (const pid of descendants(sshd.pid)) signalIfThere(pid, signal);
    },
    stop,
  };
}

function spawnSshd(configuration: string): ChildProcess {
  const options = { stdio: ['ignore', 'ignore', 'pipe'] as ['ignore', 'ignore', 'pipe'] };
  if (!isRoot) return spawn(SSHD, ['-D', '-e', '-f', configuration], options);
  const script = [
    'mount -t tmpfs -o mode=755 tmpfs /run',
    'mkdir -m 755 /run/sshd',
    "(umask 077 && sed 's/^root:!/root:*/' /etc/shadow >/run/shadow)",
    'mount --bind /run/shadow /etc/shadow',
    `exec ${SSHD} -D -e -f "$0"`,
  ].join(' && ');
  return spawn('unshare', ['--mount', '--pid', '--fork', '--kill-child', 'sh', '-c', script, configuration], options);
}

/** As root sshd is the first process of its namespace: the kernel ends and reaps all others with it, and `unshare` ends then. */
function end(pid: number | undefined): void {
  const [first, ...below] = descendants(pid);
  if (first === undefined) return;
  const victims = isRoot ? below.slice(0, 1) : [...below.reverse(), first];
  for (const victim of victims) signalIfThere(victim, 'SIGKILL');
  if (isRoot) signalIfThere(first, 'SIGCONT');
}

/** The process and everything below it, parents first. */
function descendants(pid: number | undefined): number[] {
  if (pid === undefined) return [];
  let children: string;
  try {
    children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
  } catch {
    return [];
  }
  return [
    pid,
    ...children
      .trim()
      .split(/\s+/)
      .filter(Boolean)
      .flatMap((child) => descendants(Number(child))),
  ];
}

function signalIfThere(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Waits until the port accepts, for at most 10 s. */
async function listening(port: number, sshd: ChildProcess, log: () => string): Promise<void> {
  const end = Date.now() + 10_000;
  for (;;) {
    if (await accepts(port)) return;
    if (sshd.exitCode !== null) throw new Error(`sshd ended with status ${sshd.exitCode}: ${log()}`);
    if (Date.now() > end) throw new Error(`sshd does not listen on port ${port} after 10 s: ${log()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
