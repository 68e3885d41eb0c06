import ssh2 from 'ssh2';

// "ssh-ed25519" and 32 bytes of key, each behind its length (RFC 8709 §4).
const BLOB_BYTES = 4 + 11 + 4 + 32;

/**
 * A new ed25519 key pair, OpenSSH format. ssh2 drops a leading zero byte of the key, so that one pair in 256 is 31 bytes long and OpenSSH
 * refuses it ("error in libcrypto"): such a pair is thrown away.
 */
export function ed25519KeyPair(comment: string): { readonly private: string; readonly public: string } {
  for (;;) {
    const pair = ssh2.utils.generateKeyPairSync('ed25519', { comment });
    if (Buffer.from(pair.public.split(' ')[1] ?? '', 'base64').length === BLOB_BYTES) return pair;
  }
}
