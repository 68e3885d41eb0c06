import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** An SSH key pair: the private part as ssh-keygen writes it, the public part as `type base64`. */
export interface TestKey {
  readonly privateKey: string;
  readonly publicLine: string;
}

export type KeyType = 'ed25519' | 'ecdsa' | 'rsa';

/** A new key from ssh-keygen, as users make them. (ssh2 has a generator, but OpenSSH refuses some of its Ed25519 keys.) */
export function generateKey(
  type: KeyType = 'ed25519',
  {
    passphrase = '',
    format = 'RFC4716',
  }: { readonly passphrase?: string; readonly format?: 'RFC4716' | 'PKCS8' | 'PEM' } = {},
): TestKey {
  const directory = mkdtempSync(join(tmpdir(), 'ssh-key-'));
  const file = join(directory, 'key');
  try {
    execFileSync('ssh-keygen', ['-q', '-t', type, '-N', passphrase, '-a', '1', '-m', format, '-C', '', '-f', file]);
    return {
      privateKey: readFileSync(file, 'utf8'),
      publicLine: readFileSync(`${file}.pub`, 'utf8').trim(),
    };
  } finally {
    rmSync(directory, { recursive: true });
  }
}
