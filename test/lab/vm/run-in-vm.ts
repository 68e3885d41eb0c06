/**
 * Runs one command as root in a fresh virtual machine, without a network, and ends with its exit code:
 *
 *     node test/lab/vm/run-in-vm.ts --kernel 6.1 [--file LOCAL:/remote]... [--env NAME=VALUE]... [--memory MB] [--timeout SECONDS] [--instruction-clock] -- CMD ARGS
 *
 * Output streams while the command runs. What is in the machine is said in README.md.
 */
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { parseArgs } from 'node:util';
import { buildImage, builtImage, type Image } from '../image/build-image.ts';
import { type ArchiveEntry, cpioArchive } from '../image/cpio.ts';
import { KERNEL_SERIES, type KernelSeries } from '../image/debian-kernel.ts';
import { lastWords, shellWord, startQemu } from './qemu.ts';

/** A command to run in a virtual machine. */
export interface VmCommand {
  readonly kernel: KernelSeries;
  readonly command: readonly string[];
  /** Files of this machine to have there: path there to path here. The mode is kept. */
  readonly files: ReadonlyMap<string, string>;
  readonly environment: Readonly<Record<string, string>>;
  readonly memoryMb: number;
  /** The machine is ended after this time, in seconds, whatever it does. */
  readonly timeoutSeconds: number;
  /** Time in the machine is counted in instructions: see Machine. */
  readonly instructionClock?: boolean;
  readonly stdout: Writable;
  readonly stderr: Writable;
}

/** Exit code of the command; an error when the machine ended, or had to be ended, before the command did. */
export async function runInVm(run: VmCommand, image: Image): Promise<number> {
  const workDir = await mkdtemp(join(tmpdir(), 'lab-vm-'));
  const ports = [
    await listen(join(workDir, 'stdout'), (bytes) => run.stdout.write(bytes)),
    await listen(join(workDir, 'stderr'), (bytes) => run.stderr.write(bytes)),
  ];
  let exitText = '';
  ports.push(
    await listen(join(workDir, 'exit'), (bytes) => {
      exitText += bytes.toString();
    }),
  );
  try {
    const initrd = join(workDir, 'initrd');
    await writeFile(initrd, Buffer.concat([await readFile(image.initrd), cpioArchive(await entries(run))]));
    const end = await machineEnd(run, image, initrd, workDir);
    await Promise.all(ports.map((port) => port.drained()));
    const code = Number.parseInt(exitText, 10);
    if (end === 'timeout')
      throw new Error(`${run.command[0]} did not end within ${run.timeoutSeconds} s; ${lastWords(workDir, 'vm')}`);
    if (Number.isNaN(code)) throw new Error(`the machine ended before ${run.command[0]}; ${lastWords(workDir, 'vm')}`);
    return code;
  } finally {
    for (const port of ports) port.server.close();
    await rm(workDir, { recursive: true, force: true });
  }
}

async function entries(run: VmCommand): Promise<ArchiveEntry[]> {
  const variables = Object.entries(run.environment).map(([name, value]) => `export ${name}=${shellWord(value)}\n`);
  const command = `#!/bin/sh\n${variables.join('')}exec ${run.command.map(shellWord).join(' ')}\n`;
  const settings = 'LAB_NAME=vm LAB_ROLE=run LAB_MODULES="virtio_console virtio_rng ip_vs"\n';
  const files = [...run.files].map(async ([remote, local]): Promise<ArchiveEntry> => {
    const mode = (await stat(local)).mode & 0o777;
    return { kind: 'file', path: remote.replace(/^\/+/, ''), mode, data: await readFile(local) };
  });
  return [
    { kind: 'file', path: 'lab/settings.sh', mode: 0o644, data: Buffer.from(settings) },
    { kind: 'file', path: 'lab/command.sh', mode: 0o755, data: Buffer.from(command) },
    ...(await Promise.all(files)),
  ];
}

async function machineEnd(run: VmCommand, image: Image, initrd: string, workDir: string): Promise<'end' | 'timeout'> {
  const port = (name: string) => [
    ...['-chardev', `socket,id=${name},path=${join(workDir, name)}`],
    ...['-device', `virtserialport,chardev=${name},name=lab.${name}`],
  ];
  const qemu = startQemu({
    ...{ name: 'vm', image, initrd, workDir, memoryMb: run.memoryMb, detached: false, rebootEnds: true },
    instructionClock: run.instructionClock ?? false,
    devices: [
      ...['-device', 'virtio-serial-pci', '-device', 'virtio-rng-pci'],
      ...['stdout', 'stderr', 'exit'].flatMap(port),
    ],
  });
  const interrupted = () => qemu.kill('SIGKILL');
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, interrupted);
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<'timeout'>((resolve) => {
    timer = setTimeout(() => resolve('timeout'), run.timeoutSeconds * 1000);
  });
  const ended = new Promise<'end'>((resolve, reject) => {
    qemu.once('error', (cause) => reject(new Error(`qemu does not start (package qemu-system-x86): ${cause.message}`)));
    qemu.once('exit', () => resolve('end'));
  });
  try {
    return await Promise.race([ended, timeout]);
  } finally {
    clearTimeout(timer);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, interrupted);
    qemu.kill('SIGKILL');
  }
}

interface Port {
  readonly server: Server;
  /** Settles when qemu has closed its end and everything it sent was handed on. */
  readonly drained: () => Promise<void>;
}

function listen(path: string, receive: (bytes: Buffer) => void): Promise<Port> {
  const open = new Set<Promise<void>>();
  const server = createServer((socket) => {
    open.add(new Promise((resolve) => socket.once('close', () => resolve())));
    socket.on('data', receive);
    // A reset when qemu is killed is an end like any other.
    socket.on('error', () => socket.destroy());
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => resolve({ server, drained: async () => void (await Promise.all(open)) }));
  });
}

function parseCommandLine(args: readonly string[]): Omit<VmCommand, 'stdout' | 'stderr'> {
  const separator = args.indexOf('--');
  const command = separator < 0 ? [] : args.slice(separator + 1);
  if (command.length === 0) throw new Error('the command is missing: it stands behind --');
  const { values } = parseArgs({
    args: args.slice(0, separator),
    options: {
      kernel: { type: 'string', default: '6.1' },
      file: { type: 'string', multiple: true, default: [] },
      env: { type: 'string', multiple: true, default: [] },
      memory: { type: 'string', default: '512' },
      timeout: { type: 'string', default: '600' },
      'instruction-clock': { type: 'boolean', default: false },
    },
  });
  if (!(KERNEL_SERIES as readonly string[]).includes(values.kernel))
    throw new Error(`--kernel takes one of ${KERNEL_SERIES.join(', ')}`);
  return {
    kernel: values.kernel as KernelSeries,
    command,
    files: new Map(values.file.map((pair) => split(pair, ':', '--file takes LOCAL:/remote').reverse() as Pair)),
    environment: Object.fromEntries(values.env.map((pair) => split(pair, '=', '--env takes NAME=VALUE'))),
    memoryMb: Number(values.memory),
    timeoutSeconds: Number(values.timeout),
    instructionClock: values['instruction-clock'],
  };
}

type Pair = [string, string];

function split(text: string, separator: string, usage: string): Pair {
  const at = separator === ':' ? text.lastIndexOf(separator) : text.indexOf(separator);
  if (at < 1) throw new Error(`${usage}, not "${text}"`);
  return [text.slice(0, at), text.slice(at + 1)];
}

if (import.meta.main) {
  try {
    const command = parseCommandLine(process.argv.slice(2));
    const image = await builtImage(command.kernel).catch(() =>
      buildImage(command.kernel, (sentence) => console.error(`image ${command.kernel}: ${sentence}`)),
    );
    process.exitCode = await runInVm({ ...command, stdout: process.stdout, stderr: process.stderr }, image);
  } catch (error) {
    console.error(`run-in-vm: ${(error as Error).message}`);
    process.exitCode = 125;
  }
}
