import { createHash } from 'node:crypto';
import type { ArchiveEntry } from '../image/cpio.ts';
import { shellWord } from './qemu.ts';
import type { VmKeys } from './vm.ts';

/** How a machine is connected: what guest/host-network.sh reads. */
export interface HostNetwork {
  /** With prefix length: `192.0.2.11/24`. */
  readonly address4: string;
  readonly gateway4: string;
  readonly address6?: string;
  readonly gateway6?: string;
  /** More routes, as ip-route(8) takes them behind `add`: `198.18.128.0/24 via 192.0.2.21`. */
  readonly routes?: readonly string[];
  /** Prefixes whose unassigned addresses end here instead of going back to the router: those of the pools. */
  readonly blackholes: readonly string[];
}

/** What every machine of the lab has of its own: name, identity, keys, and the settings that its role reads. */
export function machineFiles(
  name: string,
  keys: VmKeys,
  network: HostNetwork,
  settings: Readonly<Record<`LAB_${string}`, string>>,
): ArchiveEntry[] {
  const values = {
    LAB_NAME: name,
    LAB_ADDRESS4: network.address4,
    LAB_GATEWAY4: network.gateway4,
    LAB_ADDRESS6: network.address6 ?? '',
    LAB_GATEWAY6: network.gateway6 ?? '',
    LAB_BLACKHOLES: network.blackholes.join(' '),
    LAB_ROUTES: (network.routes ?? []).join('\n'),
    ...settings,
  };
  const lines = Object.entries(values).map(([key, value]) => `${key}=${shellWord(value)}\n`);
  return [
    textEntry('lab/settings.sh', lines.join('')),
    textEntry('etc/hostname', `${name}\n`),
    textEntry('etc/machine-id', `${createHash('md5').update(name).digest('hex')}\n`, 0o444),
    textEntry('etc/ssh/ssh_host_ed25519_key', keys.hostPrivateKey, 0o600),
    textEntry('etc/ssh/authorized_keys.d/root', `${keys.adminPublicKey}\n`),
  ];
}

export function textEntry(path: string, contents: string | Uint8Array, mode = 0o644): ArchiveEntry {
  return { kind: 'file', path, mode, data: Buffer.from(contents) };
}
