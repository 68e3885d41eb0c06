import { createHash } from 'node:crypto';

/**
 * Signature algorithms of each host key type that we accept (RFC 8332: an RSA key signs with SHA-2, never with the SHA-1 of
 * `ssh-rsa`). A pinned key of another type can never match.
 */
const ALGORITHMS = {
  'ssh-ed25519': ['ssh-ed25519'],
  'ecdsa-sha2-nistp256': ['ecdsa-sha2-nistp256'],
  'ecdsa-sha2-nistp384': ['ecdsa-sha2-nistp384'],
  'ecdsa-sha2-nistp521': ['ecdsa-sha2-nistp521'],
  'ssh-rsa': ['rsa-sha2-512', 'rsa-sha2-256'],
} as const;
export type HostKeyType = keyof typeof ALGORITHMS;
export type HostKeyAlgorithm = (typeof ALGORITHMS)[HostKeyType][number];

/** The keys by which a director is known. */
export interface PinnedHostKeys {
  /** Signature algorithms to offer: only what a pinned key can answer with. Empty when no pinned key is usable. */
  readonly algorithms: readonly HostKeyAlgorithm[];
  /** `ssh-ed25519 SHA256:…` of each usable key, for messages. */
  readonly fingerprints: readonly string[];
  /** True when the key that a host offers (RFC 4253 wire form) is one of these. */
  accepts(offered: Buffer): boolean;
}

/** Reads `algorithm base64 [comment]` lines as in a known_hosts file. Lines that are not a key of a known type pin nothing. */
export function pinnedHostKeys(lines: readonly string[]): PinnedHostKeys {
  const keys: { readonly type: HostKeyType; readonly blob: Buffer }[] = [];
  for (const line of lines) {
    const [type = '', base64 = ''] = line.trim().split(/\s+/);
    const blob = Buffer.from(base64, 'base64');
    if (isHostKeyType(type) && typeOf(blob) === type) keys.push({ type, blob });
  }
  return {
    algorithms: [...new Set(keys.flatMap(({ type }) => ALGORITHMS[type]))],
    fingerprints: keys.map(({ blob }) => fingerprint(blob)),
    accepts: (offered) => keys.some(({ blob }) => blob.equals(offered)),
  };
}

/** `ssh-ed25519 SHA256:…` as `ssh-keygen -lf` shows it. */
export function fingerprint(blob: Buffer): string {
  const digest = createHash('sha256').update(blob).digest('base64').replace(/=+$/, '');
  return `${typeOf(blob)} SHA256:${digest}`;
}

/** A key in wire form begins with its type as a string (RFC 4253, 6.6). Empty when it does not. */
function typeOf(blob: Buffer): string {
  if (blob.length < 4) return '';
  const length = blob.readUInt32BE(0);
  const type = length <= 64 ? blob.subarray(4, 4 + length).toString('latin1') : '';
  return /^[\w@.-]+$/.test(type) ? type : '';
}

function isHostKeyType(type: string): type is HostKeyType {
  return Object.hasOwn(ALGORITHMS, type);
}
