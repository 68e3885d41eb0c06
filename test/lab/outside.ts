/**
 * The half of `test/lab/lab` that runs on the machine itself: builds what is missing (only here is a network to fetch
 * from), then starts inside.ts in namespaces of its own and stays as their handle: when this process ends, in whatever
 * way, everything in the namespaces ends.
 */
import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import type { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { buildControlPlane } from './build-controlplane.ts';
import { type LabOptions, parseLabOptions, USAGE } from './options.ts';

const INSIDE = fileURLToPath(new URL('./inside.ts', import.meta.url));

/**
 * The first process inside. It gives the lab a /run of its own and no name servers (none can be reached, and asking takes
 * time), then waits for inside.ts; as process 1 it also collects processes whose parents ended, which Node would leave
 * as zombies.
 */
const FIRST_PROCESS = `
mount -t tmpfs -o mode=755 tmpfs /run && mkdir /run/lab || exit
[ ! -e /etc/resolv.conf ] || mount --bind /dev/null /etc/resolv.conf || exit
"$@"
exit $?`;

async function main(): Promise<void> {
  let options: LabOptions;
  try {
    options = parseLabOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`lab: ${messageOf(error)}\n${USAGE}`);
    process.exit(2);
  }
  await prepare(options);
  // Not exitCode: signal handlers and the open pipe would keep this process alive.
  process.exit(await runInside(options));
}

async function prepare(options: LabOptions): Promise<void> {
  const report = (sentence: string) => console.error(`lab: ${sentence}`);
  buildControlPlane(report);
  if (options.directors + options.vmNodes === 0) return;
  const { buildImage } = await import('./image/build-image.ts');
  await buildImage(options.kernel, report);
}

function runInside(options: LabOptions): Promise<number> {
  const child = spawn(
    'setpriv',
    [
      // Should this process be killed, unshare is killed too, and the kernel ends the rest with it.
      ...['--pdeathsig', 'KILL', 'unshare', ...namespaces(options), 'sh', '-c', FIRST_PROCESS, 'lab'],
      ...[process.execPath, INSIDE, JSON.stringify(options)],
    ],
    { env: labEnvironment(), stdio: ['inherit', 'inherit', 'inherit', 'pipe'] },
  );
  const lifeline = child.stdio[3] as Writable;
  lifeline.on('error', () => {}); // Inside has ended: the exit code says how.
  // Signals do not pass unshare; closing the pipe asks inside to end what it runs.
  for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, () => lifeline.end());
  // Ctrl-C reaches everybody on the terminal; what runs inside decides what it means.
  process.on('SIGINT', () => {});
  return new Promise((resolve, reject) => {
    child.on('error', (error) => reject(new Error(`the lab did not start: ${error.message}`, { cause: error })));
    child.on('exit', (code) => resolve(code ?? 1));
  });
}

function namespaces(options: LabOptions): string[] {
  const all = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
  if (process.getuid?.() === 0) return all;
  if (options.directors + options.vmNodes > 0) requireTunDevice();
  return ['--user', '--map-root-user', ...all];
}

function requireTunDevice(): void {
  try {
    accessSync('/dev/net/tun', constants.R_OK | constants.W_OK);
  } catch (cause) {
    throw new Error(
      'without root virtual machines need /dev/net/tun readable and writable: chmod a+rw it as root, or use --directors 0 and no --vm-nodes',
      { cause },
    );
  }
}

/** Nothing in a lab may ask the machine's proxy: there is no way to it, and no need. */
function labEnvironment(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env).filter(([name]) => !/^(https?|ftp|all|no)_proxy$/i.test(name));
  const { PATH = '' } = process.env;
  return { ...Object.fromEntries(entries), PATH: `${PATH}:/usr/local/sbin:/usr/sbin:/sbin` };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

try {
  await main();
} catch (error) {
  console.error(`lab: ${messageOf(error)}`);
  process.exit(1);
}
