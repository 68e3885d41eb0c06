import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { builtImage } from '../image/build-image.ts';
import { type ArchiveEntry, cpioArchive } from '../image/cpio.ts';
import type { KernelSeries } from '../image/debian-kernel.ts';
import { runCommand } from '../image/run-command.ts';
import { ed25519KeyPair } from '../ssh-key.ts';
import { waitFor } from '../wait-for.ts';
import { AdminSession, type CommandResult } from './admin-session.ts';
import { lastWords, type Machine, serialLog, startQemu } from './qemu.ts';
import { qmp } from './qmp.ts';
import { parseWitnessTable, type WitnessTable } from './witness-table.ts';

/** A machine as it shall be set up; the role's own settings are in the archive. */
export interface VmSetup {
  /** Host name, and the prefix of its files in workDir. */
  readonly name: string;
  readonly kernel: KernelSeries;
  readonly tap: string;
  /** Derived from the name when left out. */
  readonly mac?: string;
  /** The address that root logs in at. */
  readonly host: string;
  readonly memoryMb: number;
  readonly workDir: string;
  /** A disk of its own that survives resets, with an empty file system. */
  readonly disk?: boolean;
  /** Archives of the image that come before the machine's own. */
  readonly initrds: readonly string[];
  /** What makes the image into this machine. */
  readonly archive: (keys: VmKeys) => Promise<readonly ArchiveEntry[]>;
}

/** The keys of one machine, all OpenSSH format. */
export interface VmKeys {
  readonly hostPrivateKey: string;
  readonly adminPublicKey: string;
}

/** What another process needs to use the machine, besides root's key; written once. */
interface VmState {
  readonly name: string;
  readonly kernel: KernelSeries;
  readonly tap: string;
  readonly mac: string;
  readonly memoryMb: number;
  readonly host: string;
  readonly hostKey: string;
  readonly disk: boolean;
}

const MKE2FS = { name: 'mke2fs', package: 'e2fsprogs' };

// Emulated machines on two busy cores: a boot takes 3 s alone and took 34 s beside nine busy processes.
const BOOT_LIMIT_MS = 180_000;
const LOGIN_LIMIT_MS = 60_000;
const COMMAND_LIMIT_MS = 60_000;

/**
 * A virtual machine of the lab: a stock Debian kernel, sshd, and what its role makes of it. Its files in workDir are the state, so
 * that any process which sees workDir and reaches the machine's address can attach.
 */
export class Vm {
  readonly name: string;
  /** The host's public key, `ssh-ed25519 AAAA…`, for pinning. It stays the same over reboots. */
  readonly hostKey: string;
  readonly #workDir: string;
  readonly #admin: AdminSession;
  readonly #state: VmState;

  /** The machine of that name which another process, or this one, set up in the same workDir. */
  constructor(workDir: string, name: string) {
    const files = filesOf(workDir, name);
    if (!existsSync(files.state)) throw new Error(`no machine ${name} was started in ${workDir}`);
    this.#state = JSON.parse(readFileSync(files.state, 'utf8')) as VmState;
    this.name = this.#state.name;
    this.hostKey = this.#state.hostKey;
    this.#workDir = workDir;
    const { host, hostKey } = this.#state;
    this.#admin = new AdminSession({ host, privateKey: readFileSync(files.adminKey, 'utf8'), hostKey });
  }

  /** Runs a shell command as root. Quick to call: the connection is kept. A machine that does not answer is an error. */
  async exec(command: string, options: { readonly timeoutMs?: number } = {}): Promise<CommandResult> {
    try {
      return await this.#admin.exec(command, options.timeoutMs ?? COMMAND_LIMIT_MS);
    } catch (error) {
      throw new Error(`${this.name}: ${(error as Error).message}; ${this.#lastWords()}`, { cause: error });
    }
  }

  /** Standard output of a command that must succeed. */
  async read(command: string): Promise<string> {
    const { stdout, stderr, code } = await this.exec(command);
    if (code !== 0) throw new Error(`${this.name}: ${command} ended with ${code}: ${stderr.trim()}`);
    return stdout;
  }

  /** The kernel's IPVS table as `ipvsadm -Sn` tells it. */
  async virtualServers(): Promise<WitnessTable> {
    return parseWitnessTable(await this.read('ipvsadm -Sn'));
  }

  /** Addresses of an interface with their prefix lengths, `203.0.113.10/32`, both families, without link-local ones. */
  async addresses(interfaceName: string): Promise<string[]> {
    const listing = await this.read(`ip -o addr show dev ${interfaceName}`);
    return [...listing.matchAll(/ inet6? (\S+) .*scope (?!link)/g)].map((match) => match[1] ?? '');
  }

  /** Waits until root can log in. */
  async waitReady(): Promise<void> {
    await this.#waitBooted(0, undefined);
  }

  /** Pulls the reset line and waits until the next boot is complete. */
  async reboot(): Promise<void> {
    const before = await this.#bootId();
    const said = this.#serialText().length;
    await qmp(this.#files().qmp, 'system_reset');
    await this.#waitBooted(said, before);
  }

  /** Stops the machine's processors: it answers nothing, and loses nothing. */
  async freeze(): Promise<void> {
    await qmp(this.#files().qmp, 'stop');
  }

  /** Lets a frozen machine go on. */
  async thaw(): Promise<void> {
    await qmp(this.#files().qmp, 'cont');
  }

  /** Cuts the power and waits until the machine is gone. Nothing to do when it is off. */
  async powerOff(): Promise<void> {
    this.#admin.close();
    if (!this.#isRunning()) return;
    await qmp(this.#files().qmp, 'quit');
    const gone = () => (this.#isRunning() ? undefined : true);
    await waitFor(`${this.name} to be off`, gone, { timeoutMs: 30_000 });
  }

  /** Boots the machine that is off, with the files of its start, and waits until root can log in. */
  async powerOn(): Promise<void> {
    if (this.#isRunning()) return;
    const image = await builtImage(this.#state.kernel);
    const qemu = startQemu(this.#machine(image.vmlinuz));
    qemu.unref();
    await new Promise<void>((resolve, reject) => {
      qemu.once('spawn', resolve);
      qemu.once('error', (cause) => reject(new Error(`qemu does not start: ${cause.message}`, { cause })));
    });
    writeFileSync(this.#files().pid, String(qemu.pid));
    await this.#waitBooted(0, undefined);
  }

  /** Ends the machine for good. Only its logs stay in workDir. */
  async stop(): Promise<void> {
    await this.powerOff();
    for (const file of Object.values(this.#files())) await rm(file, { force: true });
  }

  /** Ends this process's connection to the machine, which goes on. */
  close(): void {
    this.#admin.close();
  }

  #machine(vmlinuz: string): Machine {
    const { name, tap, mac, memoryMb, disk } = this.#state;
    const drive = `file=${this.#files().disk},if=none,id=disk0,format=raw`;
    return {
      ...{ name, image: { vmlinuz }, memoryMb, workDir: this.#workDir, detached: true, rebootEnds: false },
      initrd: this.#files().initrd,
      devices: [
        ...['-netdev', `tap,id=net0,ifname=${tap},script=no,downscript=no`],
        ...['-device', `virtio-net-pci,netdev=net0,mac=${mac},romfile=`, '-device', 'virtio-rng-pci'],
        ...(disk ? ['-drive', drive, '-device', 'virtio-blk-pci,drive=disk0'] : []),
        ...['-qmp', `unix:${this.#files().qmp},server=on,wait=off`],
      ],
    };
  }

  /** The serial console says when the machine is set up; from then on a login works within moments. */
  async #waitBooted(from: number, previousBoot: string | undefined): Promise<void> {
    this.#admin.close();
    const setUp = (see: (seen: unknown) => void) => {
      if (!this.#isRunning()) return 'ended';
      see(this.#lastWords());
      return this.#serialText().includes(`lab: ${this.name} is up`, from) ? 'up' : undefined;
    };
    const state = await waitFor(`${this.name} to boot`, setUp, { timeoutMs: BOOT_LIMIT_MS, everyMs: 50 });
    if (state === 'ended') throw new Error(`${this.name} ended while it booted; ${this.#lastWords()}`);
    const newBoot = async () => {
      const boot = await this.#bootId();
      if (boot === previousBoot) throw new Error(`it still runs boot ${boot}`);
      return boot;
    };
    await waitFor(`a login as root on ${this.name}`, newBoot, {
      timeoutMs: LOGIN_LIMIT_MS,
      everyMs: 50,
    }).catch((error: Error) => {
      throw new Error(`${error.message}; ${this.#lastWords()}`, { cause: error });
    });
  }

  async #bootId(): Promise<string> {
    return (await this.#admin.exec('cat /proc/sys/kernel/random/boot_id', 20_000)).stdout.trim();
  }

  #isRunning(): boolean {
    try {
      // The name in parentheses, then the state; a zombie is nobody.
      const pid = readFileSync(this.#files().pid, 'utf8');
      return /^\d+ \(qemu[^)]*\) [^ZX]/.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
    } catch {
      return false;
    }
  }

  #files(): ReturnType<typeof filesOf> {
    return filesOf(this.#workDir, this.name);
  }

  #serialText(): string {
    const file = serialLog(this.#workDir, this.name);
    return existsSync(file) ? readFileSync(file, 'latin1') : '';
  }

  #lastWords(): string {
    return lastWords(this.#workDir, this.name);
  }
}

/** Writes everything that a machine needs to its workDir; {@link Vm.powerOn} boots it. */
export async function setUpVm(setup: VmSetup): Promise<void> {
  const { name, workDir } = setup;
  if (Buffer.byteLength(workDir) > 80) throw new Error(`${workDir} is too long for a Unix socket: at most 80 bytes`);
  await mkdir(workDir, { recursive: true });
  const [host, admin] = [ed25519KeyPair(`${name} host`), ed25519KeyPair('lab administrator')];
  const archive = await setup.archive({ hostPrivateKey: host.private, adminPublicKey: admin.public });
  const files = filesOf(workDir, name);
  const common = await Promise.all(setup.initrds.map((path) => readFile(path)));
  await writeFile(files.initrd, Buffer.concat([...common, cpioArchive(archive)]));
  const state: VmState = {
    ...{ name, kernel: setup.kernel, tap: setup.tap, mac: setup.mac ?? macOf(name) },
    ...{ memoryMb: setup.memoryMb, host: setup.host },
    ...{ hostKey: host.public.split(' ').slice(0, 2).join(' '), disk: setup.disk === true },
  };
  if (state.disk) await runCommand(MKE2FS, ['-q', '-F', '-t', 'ext4', files.disk, '16M']);
  await writeFile(files.adminKey, admin.private, { mode: 0o600 });
  await writeFile(files.knownHosts, `${state.host} ${state.hostKey}\n`);
  await writeFile(files.state, JSON.stringify(state));
}

function filesOf(workDir: string, name: string) {
  const file = (suffix: string) => join(workDir, `${name}.${suffix}`);
  return {
    ...{ state: file('json'), pid: file('pid'), qmp: file('qmp'), initrd: file('initrd') },
    ...{ adminKey: file('admin-key'), knownHosts: file('known_hosts'), disk: file('disk') },
  };
}

/** Locally administered (IEEE 802: second bit of the first octet), the same for the same name. */
function macOf(name: string): string {
  const octets = createHash('sha256').update(name).digest('hex').match(/../g)?.slice(0, 5) ?? [];
  return ['52', ...octets].join(':');
}
