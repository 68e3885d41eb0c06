/** The command `director` of a running lab: `director N COMMAND...` runs a shell command as root on director N. */
import { directorName } from './addresses.ts';
import { LabDir } from './lab-dir.ts';
import { DirectorVm } from './vm/director-vm.ts';

const [number = '', ...command] = process.argv.slice(2);
if (!/^[1-9]$/.test(number) || command.length === 0) {
  console.error('usage: director N COMMAND [ARGUMENT...]     for example: director 1 ipvsadm -Ln');
  process.exit(2);
}
try {
  const vm = DirectorVm.attach(LabDir.current().directors, directorName(Number(number)));
  const { stdout, stderr, code } = await vm.exec(command.join(' '));
  vm.close();
  process.stdout.write(stdout);
  process.stderr.write(stderr);
  process.exitCode = code;
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
