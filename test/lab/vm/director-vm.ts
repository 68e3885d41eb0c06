import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import ssh2 from 'ssh2';
import { builtImage, INSTALLED_HELPER } from '../image/build-image.ts';
import { cpioArchive } from '../image/cpio.ts';
import type { KernelSeries } from '../image/debian-kernel.ts';
import { waitFor } from '../wait-for.ts';
import { AdminSession, type CommandResult } from './admin-session.ts';
import { directorArchive } from './director-archive.ts';
import { lastWords, type Machine, serialLog, startQemu } from './qemu.ts';
import { qmp } from './qmp.ts';
import { parseWitnessTable, type WitnessTable } from './witness-table.ts';

/** A file to have in the machine besides what every director has; it wins over a file of the image. */
export interface ExtraFile {
  readonly path: string;
  readonly contents: string | Uint8Array;
  /** 0o644 when left out. */
  readonly mode?: number;
}

/** One director host as it shall be set up. */
export interface DirectorVmOptions {
  /** Host name, and the prefix of its files in workDir. */
  readonly name: string;
  readonly kernel: KernelSeries;
  /** An existing tap device in the caller's network namespace, already attached to its bridge and up. */
  readonly tap: string;
  /** Derived from the name when left out. */
  readonly mac?: string;
  /** With prefix length: `192.0.2.11/24`. */
  readonly address4: string;
  readonly gateway4: string;
  readonly address6?: string;
  readonly gateway6?: string;
  /** More routes, as ip-route(8) takes them behind `add`: `198.18.128.0/24 via 192.0.2.21`. */
  readonly routes?: readonly string[];
  /** Prefixes whose unassigned addresses end here instead of going back to the router: those of the pools. */
  readonly blackholes: readonly string[];
  /** Existing directory for everything this machine writes; the path is short enough for a Unix socket (at most 80 bytes). */
  readonly workDir: string;
  /** The one key that may start the helper: `ssh-ed25519 AAAA… comment`. */
  readonly operatorPublicKey: string;
  /** Contents of /etc/ipvs-operator/policy.json. */
  readonly policy: object;
  /** The owner the forced command names; `prod` when left out. */
  readonly owner?: string;
  /** The helper to carry; what build-image `--helper` put in place when left out, if anything did. */
  readonly helper?: string;
  /** 320 when left out. */
  readonly memoryMb?: number;
  readonly extraFiles?: readonly ExtraFile[];
}

/** What another process needs to use the machine, besides root's key; written once. */
interface State {
  readonly name: string;
  readonly kernel: KernelSeries;
  readonly tap: string;
  readonly mac: string;
  readonly memoryMb: number;
  readonly host: string;
  readonly hostKey: string;
}

// Emulated machines on two busy cores: a boot takes 3 s alone and took 34 s beside nine busy processes.
const BOOT_LIMIT_MS = 180_000;
const LOGIN_LIMIT_MS = 60_000;
const COMMAND_LIMIT_MS = 60_000;

/**
 * A director host: a virtual machine with a stock Debian kernel, sshd, and the helper behind a forced command. Its files in workDir
 * are the state, so that any process which sees workDir and reaches the machine's address can {@link attach}.
 */
export class DirectorVm {
  readonly name: string;
  /** The host's public key, `ssh-ed25519 AAAA…`, for pinning. It stays the same over reboots. */
  readonly hostKey: string;
  readonly #workDir: string;
  readonly #admin: AdminSession;
  readonly #state: State;

  private constructor(workDir: string, state: State, privateKey: string) {
    this.name = state.name;
    this.hostKey = state.hostKey;
    this.#workDir = workDir;
    this.#state = state;
    this.#admin = new AdminSession({ host: state.host, privateKey, hostKey: state.hostKey });
  }

  /** Boots a new director and waits until root can log in. */
  static async start(options: DirectorVmOptions): Promise<DirectorVm> {
    const { name, workDir } = options;
    if (Buffer.byteLength(workDir) > 80) throw new Error(`${workDir} is too long for a Unix socket: at most 80 bytes`);
    await mkdir(workDir, { recursive: true });
    const image = await builtImage(options.kernel);
    const [host, admin] = [keyPair(`${name} host`), keyPair('lab administrator')];
    const helper = options.helper ?? (existsSync(INSTALLED_HELPER) ? INSTALLED_HELPER : undefined);
    const keys = { hostPrivateKey: host.private, adminPublicKey: admin.public };
    const archive = cpioArchive(await directorArchive(helper === undefined ? options : { ...options, helper }, keys));
    const files = filesOf(workDir, name);
    await writeFile(files.initrd, Buffer.concat([await readFile(image.initrd), archive]));
    const state: State = {
      ...{ name, kernel: options.kernel, tap: options.tap, mac: options.mac ?? macOf(name) },
      ...{ memoryMb: options.memoryMb ?? 320, host: options.address4.split('/')[0] ?? '' },
      hostKey: host.public.split(' ').slice(0, 2).join(' '),
    };
    await writeFile(files.adminKey, admin.private, { mode: 0o600 });
    await writeFile(files.knownHosts, `${state.host} ${state.hostKey}\n`);
    await writeFile(files.state, JSON.stringify(state));
    const vm = new DirectorVm(workDir, state, admin.private);
    await vm.powerOn();
    return vm;
  }

  /** The director of that name which another process, or this one, started with the same workDir. */
  static async attach(workDir: string, name: string): Promise<DirectorVm> {
    const files = filesOf(workDir, name);
    if (!existsSync(files.state)) throw new Error(`no director ${name} was started in ${workDir}`);
    const state = JSON.parse(await readFile(files.state, 'utf8')) as State;
    return new DirectorVm(workDir, state, await readFile(files.adminKey, 'utf8'));
  }

  /** Runs a shell command as root. Quick to call: the connection is kept. A machine that does not answer is an error. */
  async exec(command: string, options: { readonly timeoutMs?: number } = {}): Promise<CommandResult> {
    try {
      return await this.#admin.exec(command, options.timeoutMs ?? COMMAND_LIMIT_MS);
    } catch (error) {
      throw new Error(`director ${this.name}: ${(error as Error).message}; ${this.#lastWords()}`, { cause: error });
    }
  }

  /** Standard output of a command that must succeed. */
  async read(command: string): Promise<string> {
    const { stdout, stderr, code } = await this.exec(command);
    if (code !== 0) throw new Error(`director ${this.name}: ${command} ended with ${code}: ${stderr.trim()}`);
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
    await waitFor(`director ${this.name} to be off`, gone, { timeoutMs: 30_000 });
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
    const { name, tap, mac, memoryMb } = this.#state;
    return {
      ...{ name, image: { vmlinuz }, memoryMb, workDir: this.#workDir, detached: true, rebootEnds: false },
      initrd: this.#files().initrd,
      devices: [
        ...['-netdev', `tap,id=net0,ifname=${tap},script=no,downscript=no`],
        ...['-device', `virtio-net-pci,netdev=net0,mac=${mac},romfile=`, '-device', 'virtio-rng-pci'],
        ...['-qmp', `unix:${this.#files().qmp},server=on,wait=off`],
      ],
    };
  }

  /** The serial console says when the director is set up; from then on a login works within moments. */
  async #waitBooted(from: number, previousBoot: string | undefined): Promise<void> {
    this.#admin.close();
    const setUp = (see: (seen: unknown) => void) => {
      if (!this.#isRunning()) return 'ended';
      see(this.#lastWords());
      return this.#serialText().includes(`lab: director ${this.name} is up`, from) ? 'up' : undefined;
    };
    const state = await waitFor(`director ${this.name} to boot`, setUp, { timeoutMs: BOOT_LIMIT_MS, everyMs: 50 });
    if (state === 'ended') throw new Error(`director ${this.name} ended while it booted; ${this.#lastWords()}`);
    const newBoot = async () => {
      const boot = await this.#bootId();
      if (boot === previousBoot) throw new Error(`it still runs boot ${boot}`);
      return boot;
    };
    await waitFor(`a login as root on director ${this.name}`, newBoot, {
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

function keyPair(comment: string): { readonly private: string; readonly public: string } {
  return ssh2.utils.generateKeyPairSync('ed25519', { comment });
}

function filesOf(workDir: string, name: string) {
  const file = (suffix: string) => join(workDir, `${name}.${suffix}`);
  return {
    ...{ state: file('json'), pid: file('pid'), qmp: file('qmp'), initrd: file('initrd') },
    ...{ adminKey: file('admin-key'), knownHosts: file('known_hosts') },
  };
}

/** Locally administered (IEEE 802: second bit of the first octet), the same for the same name. */
function macOf(name: string): string {
  const octets = createHash('sha256').update(name).digest('hex').match(/../g)?.slice(0, 5) ?? [];
  return ['52', ...octets].join(':');
}
