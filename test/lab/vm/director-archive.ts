import { readFile } from 'node:fs/promises';
import { DIRECTOR_USER } from '../image/base-image.ts';
import type { ArchiveEntry } from '../image/cpio.ts';
import type { DirectorVmOptions } from './director-vm.ts';
import { machineFiles, textEntry } from './machine-archive.ts';
import type { VmKeys } from './vm.ts';

const HELPER = 'usr/lib/ipvs-operator/ipvs-helper';

/**
 * What makes the common image into this director: its settings, keys, policy and helper. Least privilege as an administrator would
 * set it up: the operator's key can start the helper for one owner, as an unprivileged user, and nothing else.
 */
export async function directorArchive(options: DirectorVmOptions, keys: VmKeys): Promise<ArchiveEntry[]> {
  const forced = `command="/${HELPER} serve --owner ${options.owner ?? 'prod'}",restrict`;
  const helper: ArchiveEntry[] =
    options.helper === undefined
      ? []
      : [{ kind: 'file', path: HELPER, mode: 0o755, data: await readFile(options.helper) }];
  return [
    ...machineFiles(options.name, keys, options, {
      LAB_ROLE: 'director',
      LAB_MODULES: `virtio_net virtio_rng ip_vs${options.disk === true ? ' virtio_blk' : ''}`,
      LAB_DISK: options.disk === true ? '/dev/vda' : '',
    }),
    textEntry(`etc/ssh/authorized_keys.d/${DIRECTOR_USER.name}`, `${forced} ${options.operatorPublicKey}\n`),
    textEntry('etc/ipvs-operator/policy.json', `${JSON.stringify(options.policy, null, 2)}\n`),
    ...helper,
    ...(options.extraFiles ?? []).map(({ path, contents, mode }) =>
      textEntry(path.replace(/^\/+/, ''), contents, mode ?? 0o644),
    ),
  ];
}
