/** The command `on NODE` of a running lab, for a node that is a virtual machine: runs a shell command as root there. */
import { LabDir } from './lab-dir.ts';
import { NodeVm } from './vm/node-vm.ts';
import { shellWord } from './vm/qemu.ts';

const [name = '', ...command] = process.argv.slice(2);
try {
  const vm = NodeVm.attach(LabDir.current().vmNodes, name);
  const { stdout, stderr, code } = await vm.exec(command.map(shellWord).join(' '));
  vm.close();
  process.stdout.write(stdout);
  process.stderr.write(stderr);
  process.exitCode = code;
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
