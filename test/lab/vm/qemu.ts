import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import type { Image } from '../image/build-image.ts';

/** One virtual machine as qemu shall run it. */
export interface Machine {
  readonly name: string;
  readonly image: Pick<Image, 'vmlinuz'>;
  /** The whole initramfs: the image's own archive and behind it the machine's. */
  readonly initrd: string;
  readonly memoryMb: number;
  /** The serial log and qemu's own messages go here, as NAME.serial and NAME.qemu. */
  readonly workDir: string;
  /** Devices besides the serial line, as qemu's arguments. */
  readonly devices: readonly string[];
  /** Outlives the process that starts it. */
  readonly detached: boolean;
  readonly rebootEnds: boolean;
  /** Time inside is the number of instructions executed, one a nanosecond: what is measured there does not depend on how busy this machine is. */
  readonly instructionClock?: boolean;
}

const PROCESSOR = 'qemu64,+rdrand';

/**
 * Where instructions are counted: everything that can be emulated, as AVX2, AES and CRC32C, which servers have since 2013 and programs use that hash and
 * check sums. Not "fast rep movsb", of which each byte would count as an instruction, and not page tables of five levels.
 */
const SERVER_PROCESSOR = 'max,-erms,-la57';

const PATH = `${process.env.PATH ?? ''}:/usr/bin:/usr/local/bin`;

/**
 * Starts qemu. Emulation (tcg) on purpose: on the machines that develop and check this project /dev/kvm exists and the guest
 * hangs. q35 on purpose: `-M microvm` has no clock to calibrate against and hung on busy machines.
 */
export function startQemu(machine: Machine): ChildProcess {
  const log = openSync(qemuLog(machine.workDir, machine.name), 'w');
  try {
    return spawn('qemu-system-x86_64', qemuArguments(machine), {
      env: { ...process.env, PATH },
      detached: machine.detached,
      stdio: ['ignore', log, log],
    });
  } finally {
    closeSync(log);
  }
}

function qemuArguments(machine: Machine): string[] {
  return [
    ...['-name', machine.name, '-M', 'q35', '-accel', 'tcg', '-m', String(machine.memoryMb)],
    ...['-cpu', machine.instructionClock === true ? SERVER_PROCESSOR : PROCESSOR],
    ...['-nodefaults', '-no-user-config', '-nographic'],
    ...['-serial', `file:${serialLog(machine.workDir, machine.name)}`],
    ...['-kernel', machine.image.vmlinuz, '-initrd', machine.initrd],
    // clocksource: the kernel measures the TSC against other clocks at boot, and on a busy machine got it wrong (990 for 2595 MHz).
    // no_timer_check: the kernel tries at boot whether timer interrupts arrive, within a moment in which an emulated processor on a busy machine may
    // get none; then it gives the timer up (MP-BIOS bug: 8254 timer not connected to IO-APIC) and hangs (seen at load 15). KVM guests skip it, too.
    // A panic reboots at once; the serial log tells of it. reboot=t: the triple fault is the one way that needs no firmware.
    ...[
      '-append',
      'console=ttyS0 quiet loglevel=4 reboot=t panic=-1 net.ifnames=0 mitigations=off clocksource=hpet no_timer_check',
    ],
    ...(machine.rebootEnds ? ['-no-reboot'] : []),
    ...(machine.instructionClock === true ? ['-icount', 'shift=0,sleep=off'] : []),
    ...machine.devices,
  ];
}

/** Where the serial console of a machine is written. */
export function serialLog(workDir: string, name: string): string {
  return join(workDir, `${name}.serial`);
}

function qemuLog(workDir: string, name: string): string {
  return join(workDir, `${name}.qemu`);
}

/** The last lines that the machine and qemu said, for an error message; and what a kernel that died gave as the reason. */
export function lastWords(workDir: string, name: string): string {
  const serial = linesOf(serialLog(workDir, name));
  const reasons = serial.slice(0, -15).filter((line) => /panic|Oops|BUG:|Out of memory/.test(line));
  const console = [...reasons, ...serial.slice(-15)].join('\n');
  return `serial console:\n${console}\nqemu: ${linesOf(qemuLog(workDir, name)).slice(-5).join('\n')}`;
}

function linesOf(file: string): string[] {
  if (!existsSync(file)) return ['(nothing)'];
  return stripVTControlCharacters(readFileSync(file, 'utf8')).replaceAll('\r', '').trimEnd().split('\n');
}

/** `value` as one word of a shell. */
export function shellWord(value: string): string {
  return `'${value.replaceAll("'", "'\\''")}'`;
}
