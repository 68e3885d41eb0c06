import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { parseSshSecret } from '../../../operator/kube/parse-ssh-secret.ts';

describe('parseSshSecret', () => {
  const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const secret = (data: unknown) =>
    parseSshSecret({ metadata: { name: 'front', namespace: 'ops', uid: 'u', resourceVersion: '1' }, data });
  const encoded = (text: string) => Buffer.from(text).toString('base64');

  it('takes the private key', () => {
    assert.deepEqual(secret({ 'ssh-privatekey': encoded(pem), other: encoded('x') }), { ok: true, privateKey: pem });
  });

  const broken: [string, unknown][] = [
    ['no data', undefined],
    ['no such key', { other: encoded(pem) }],
    ['an empty key', { 'ssh-privatekey': '' }],
    ['a public key', { 'ssh-privatekey': encoded('ssh-ed25519 AAAA') }],
    ['no base64', { 'ssh-privatekey': '%%%' }],
  ];
  for (const [name, data] of broken) {
    it(`says what is wrong: ${name}`, () => {
      const lookup = secret(data);
      assert.ok(!lookup.ok && lookup.reason === 'SecretUnreadable');
      assert.match(lookup.message, /^The Secret ops\/front holds no private key under ssh-privatekey: put/);
    });
  }
});
