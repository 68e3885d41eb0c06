import assert from 'node:assert/strict';
import { fingerprint, pinnedHostKeys } from '../../../operator/ssh/host-keys.ts';

/** Made with ssh-keygen(1); the fingerprints are those that `ssh-keygen -lf` shows for them. */
const ED25519 = {
  line: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f',
  fingerprint: 'ssh-ed25519 SHA256:ZkAslGjFiUHdGf/WUL8rQvkib4PTvQatUV0OUQSncCA',
};

function blob(line: string): Buffer {
  return Buffer.from(line.split(' ')[1] ?? '', 'base64');
}

describe('pinnedHostKeys', () => {
  it('accepts the pinned key and no other', () => {
    const pinned = pinnedHostKeys([ED25519.line]);
    const other = blob(ED25519.line);
    other[other.length - 1] = 0;
    assert.equal(pinned.accepts(blob(ED25519.line)), true);
    assert.equal(pinned.accepts(other), false);
    assert.equal(pinned.accepts(Buffer.alloc(0)), false);
  });

  it('reads a line with a comment and odd spacing', () => {
    assert.deepEqual(pinnedHostKeys([`  ${ED25519.line}   root@director  `]).algorithms, ['ssh-ed25519']);
  });

  it('asks only for algorithms that a pinned key can answer with', () => {
    assert.deepEqual(pinnedHostKeys([ED25519.line]).algorithms, ['ssh-ed25519']);
  });

  it('asks an RSA key for SHA-2 signatures, never for SHA-1', () => {
    const rsa = Buffer.concat([Buffer.from([0, 0, 0, 7]), Buffer.from('ssh-rsa'), Buffer.alloc(300, 1)]);
    const pinned = pinnedHostKeys([`ssh-rsa ${rsa.toString('base64')}`]);
    assert.deepEqual(pinned.algorithms, ['rsa-sha2-512', 'rsa-sha2-256']);
  });

  const useless: [name: string, line: string][] = [
    ['an empty line', ''],
    ['a type without a key', 'ssh-ed25519'],
    ['a key that is not base64', 'ssh-ed25519 !!!!'],
    ['a key whose type is another than the line says', ED25519.line.replace('ssh-ed25519', 'ssh-rsa')],
    ['a type that is no longer safe', 'ssh-dss AAAAB3NzaC1kc3MAAACBAA=='],
    ['a certificate', 'ssh-ed25519-cert-v01@openssh.com AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29t'],
    ['a property of every object', 'constructor AAAAC2NvbnN0cnVjdG9y'],
  ];
  for (const [name, line] of useless) {
    it(`pins nothing for ${name}`, () => {
      const pinned = pinnedHostKeys([line]);
      assert.deepEqual(pinned.algorithms, []);
      assert.deepEqual(pinned.fingerprints, []);
      assert.equal(pinned.accepts(Buffer.alloc(0)), false);
    });
  }

  it('keeps the usable keys beside useless ones', () => {
    assert.deepEqual(pinnedHostKeys(['nonsense', ED25519.line]).fingerprints, [ED25519.fingerprint]);
  });
});

describe('fingerprint', () => {
  it('is what ssh-keygen -lf shows', () => assert.equal(fingerprint(blob(ED25519.line)), ED25519.fingerprint));

  it('of bytes that are no key has no type', () => {
    assert.match(fingerprint(Buffer.from([0xff, 0xff, 0xff, 0xff, 1])), /^ SHA256:/);
  });
});
