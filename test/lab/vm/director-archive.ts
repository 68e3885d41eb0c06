import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { DIRECTOR_USER } from '../image/base-image.ts';
import type { ArchiveEntry } from '../image/cpio.ts';
import type { DirectorVmOptions } from './director-vm.ts';
import { shellWord } from './qemu.ts';

/** The keys of one director, all OpenSSH format. */
export interface DirectorKeys {
  readonly hostPrivateKey: string;
  readonly adminPublicKey: string;
}

const HELPER = 'usr/lib/ipvs-operator/ipvs-helper';

/**
 * What makes the common image into this director: its settings, keys, policy and helper. Least privilege as an administrator would
 * set it up: the operator's key can start the helper for one owner, as an unprivileged user, and nothing else.
 */
export async function directorArchive(options: DirectorVmOptions, keys: DirectorKeys): Promise<ArchiveEntry[]> {
  const forced = `command="/${HELPER} serve --owner ${options.owner ?? 'prod'}",restrict`;
  const helper: ArchiveEntry[] =
    options.helper === undefined
      ? []
      : [{ kind: 'file', path: HELPER, mode: 0o755, data: await readFile(options.helper) }];
  return [
    text('lab/settings.sh', settings(options)),
    text('etc/hostname', `${options.name}\n`),
    text('etc/machine-id', `${createHash('md5').update(options.name).digest('hex')}\n`, 0o444),
    text('etc/ssh/ssh_host_ed25519_key', keys.hostPrivateKey, 0o600),
    text('etc/ssh/authorized_keys.d/root', `${keys.adminPublicKey}\n`),
    text(`etc/ssh/authorized_keys.d/${DIRECTOR_USER.name}`, `${forced} ${options.operatorPublicKey}\n`),
    text('etc/ipvs-operator/policy.json', `${JSON.stringify(options.policy, null, 2)}\n`),
    ...helper,
    ...(options.extraFiles ?? []).map(({ path, contents, mode }) =>
      text(path.replace(/^\/+/, ''), contents, mode ?? 0o644),
    ),
  ];
}

function settings(options: DirectorVmOptions): string {
  const values = {
    LAB_NAME: options.name,
    LAB_ROLE: 'director',
    LAB_MODULES: 'virtio_net virtio_rng ip_vs',
    LAB_ADDRESS4: options.address4,
    LAB_GATEWAY4: options.gateway4,
    LAB_ADDRESS6: options.address6 ?? '',
    LAB_GATEWAY6: options.gateway6 ?? '',
    LAB_BLACKHOLES: options.blackholes.join(' '),
    LAB_ROUTES: (options.routes ?? []).join('\n'),
  };
  return Object.entries(values)
    .map(([name, value]) => `${name}=${shellWord(value)}\n`)
    .join('');
}

function text(path: string, contents: string | Uint8Array, mode = 0o644): ArchiveEntry {
  return { kind: 'file', path, mode, data: Buffer.from(contents) };
}
