import { existsSync } from 'node:fs';
import { builtImage, INSTALLED_HELPER } from '../image/build-image.ts';
import type { KernelSeries } from '../image/debian-kernel.ts';
import { directorArchive } from './director-archive.ts';
import type { HostNetwork } from './machine-archive.ts';
import { setUpVm, Vm } from './vm.ts';

/** A file to have in the machine besides what every director has; it wins over a file of the image. */
export interface ExtraFile {
  readonly path: string;
  readonly contents: string | Uint8Array;
  /** 0o644 when left out. */
  readonly mode?: number;
}

/** One director host as it shall be set up. */
export interface DirectorVmOptions extends HostNetwork {
  /** Host name, and the prefix of its files in workDir. */
  readonly name: string;
  readonly kernel: KernelSeries;
  /** An existing tap device in the caller's network namespace, already attached to its bridge and up. */
  readonly tap: string;
  /** Derived from the name when left out. */
  readonly mac?: string;
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
  /** A disk for /var/lib/ipvs-operator, so that the helper's journal survives a reset; without it nothing does. */
  readonly disk?: boolean;
}

/** A director host: sshd, and the helper behind a forced command. */
export class DirectorVm extends Vm {
  /** Boots a new director and waits until root can log in. */
  static async start(options: DirectorVmOptions): Promise<DirectorVm> {
    const { name, kernel, tap, mac, workDir, memoryMb = 320 } = options;
    const helper = options.helper ?? (existsSync(INSTALLED_HELPER) ? INSTALLED_HELPER : undefined);
    const image = await builtImage(kernel);
    await setUpVm({
      ...{ name, kernel, tap, workDir, memoryMb, ...(mac === undefined ? {} : { mac }) },
      disk: options.disk === true,
      host: options.address4.split('/')[0] ?? '',
      initrds: [image.initrd],
      archive: (keys) => directorArchive(helper === undefined ? options : { ...options, helper }, keys),
    });
    const vm = new DirectorVm(workDir, name);
    await vm.powerOn();
    return vm;
  }

  /** The director of that name which another process, or this one, started with the same workDir. */
  static attach(workDir: string, name: string): DirectorVm {
    return new DirectorVm(workDir, name);
  }
}
