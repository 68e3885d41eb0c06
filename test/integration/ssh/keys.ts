import ssh2 from 'ssh2';

/** An SSH key pair: the private part as ssh-keygen writes it, the public part as `type base64`. */
export interface TestKey {
  readonly privateKey: string;
  readonly publicLine: string;
}

/** A new key, with a passphrase when one is given. */
export function generateKey(type: 'ed25519' | 'ecdsa' = 'ed25519', passphrase?: string): TestKey {
  const lock = passphrase === undefined ? undefined : { passphrase, cipher: 'aes256-ctr', rounds: 1 };
  const pair =
    type === 'ed25519'
      ? ssh2.utils.generateKeyPairSync('ed25519', lock ?? {})
      : ssh2.utils.generateKeyPairSync('ecdsa', { bits: 256, ...lock });
  return { privateKey: pair.private, publicLine: pair.public.trim() };
}
