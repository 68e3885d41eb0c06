/** The half of `test/lab/lab` that runs in the lab's namespaces: builds the lab, runs the command, ends. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, globSync } from 'node:fs';
import { chmod, cp, writeFile } from 'node:fs/promises';
import { Socket } from 'node:net';
import { delimiter, dirname, join } from 'node:path';
import { isVmNode, nodeNames } from './cluster-nodes.ts';
import { CONTROLPLANE, LabDir, type LabState, REPOSITORY } from './lab-dir.ts';
import type { LabOptions } from './options.ts';
import { writeShellGuide } from './shell-guide.ts';
import { startLab } from './start-lab.ts';
import { NodeVm } from './vm/node-vm.ts';

const dir = new LabDir('/run/lab');
const started = performance.now();

async function main(options: LabOptions): Promise<number> {
  const { directors, kernel, proxyMode, vmNodes, vmProxyMode } = options;
  await writeFile(
    dir.stateFile,
    JSON.stringify({ directors, kernel, proxyMode, vmNodes, vmProxyMode } satisfies LabState),
  );
  await startLab(dir, options, report);
  await writePrograms();
  report('the lab is up');
  const command = options.verb === 'run' ? options.command : await writeShellGuide(dir, options);
  return await run(command);
}

function report(sentence: string): void {
  console.error(`lab: ${((performance.now() - started) / 1000).toFixed(1).padStart(5)} s  ${sentence}`);
}

/** kubectl for everybody in the lab, and short ways into the lab's namespaces. */
async function writePrograms(): Promise<void> {
  const write = async (name: string, script: string) => {
    await writeFile(join(dir.bin, name), `#!/bin/sh\n${script}\n`);
    await chmod(join(dir.bin, name), 0o755);
  };
  await write('kubectl', `exec ${CONTROLPLANE} kubectl "$@"`);
  await write('on', onScript());
  await write('director', `exec ${process.execPath} ${REPOSITORY}/test/lab/director.ts "$@"`);
}

/** In a network namespace of the lab; on a node that is a virtual machine, as root there. */
function onScript(): string {
  const vm = `${process.execPath} ${REPOSITORY}/test/lab/vm-node.ts`;
  return `ns=$1; shift; [ ! -e "${dir.nodes}/$ns.vm" ] || exec ${vm} "$ns" "$@"\nexec ip netns exec "$ns" "$@"`;
}

let running: ChildProcess | undefined;

/** Runs the command with what it needs to find the lab; its exit code, or 128 and the number of the signal that ended it. */
function run([program = '', ...args]: readonly string[]): Promise<number> {
  const env = {
    ...process.env,
    LAB_DIR: dir.path,
    KUBECONFIG: dir.kubeconfig('admin'),
    PATH: [dir.bin, dirname(process.execPath), process.env.PATH].join(delimiter),
  };
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: 'inherit', env });
    running = child;
    child.on('error', (error) => reject(new Error(`${program} could not be run: ${error.message}`, { cause: error })));
    child.on('exit', (code, signal) => resolve(code ?? (signal === 'SIGINT' ? 130 : signal === 'SIGTERM' ? 143 : 137)));
  });
}

/** The pipe to outside.ts closes when it is asked to end, or is gone. */
function endWithOutside(): void {
  const end = () => {
    if (running === undefined) process.exit(143);
    running.kill('SIGTERM');
    setTimeout(() => process.exit(143), 10_000).unref();
  };
  new Socket({ fd: 3 }).on('close', end).on('error', end).resume();
}

/** Logs of programs and pods, and what the consoles of the virtual machines said. */
async function keepLogs(to: string): Promise<void> {
  if (existsSync(dir.logs)) await cp(dir.logs, to, { recursive: true });
  for (const machines of [dir.directors, dir.vmNodes])
    for (const file of globSync('*.{serial,qemu}', { cwd: machines }))
      await cp(join(machines, file), join(to, `${file}.log`));
  const nodes = existsSync(dir.nodes) ? await nodeNames(dir) : [];
  for (const name of nodes.filter((name) => isVmNode(dir, name))) {
    const vm = NodeVm.attach(dir.vmNodes, name);
    const all = await vm.read('cd /run/lab/logs && find . -type f -exec tail -n +1 {} +').catch(String);
    await writeFile(join(to, `${name}.log`), all);
    vm.close();
  }
}

process.on('SIGINT', () => {
  if (running === undefined) process.exit(130);
});
endWithOutside();
const options = JSON.parse(process.argv[2] ?? '{}') as LabOptions;
let code = 1;
try {
  code = await main(options);
} catch (error) {
  console.error(`lab: ${error instanceof Error ? error.message : String(error)}`);
}
if (options.logs !== undefined) await keepLogs(options.logs);
process.exit(code);
