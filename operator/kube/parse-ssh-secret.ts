import type { KeyLookup } from '../controllers/ports.ts';
import { asRecord, asText, type KubeObject } from './kube-object.ts';

/** Type of the Secrets that hold the private key of a director, and the key of their data; both of core/v1. */
export const SSH_SECRET_TYPE = 'kubernetes.io/ssh-auth';
const SSH_PRIVATE_KEY = 'ssh-privatekey';

/** The private key in a Secret of type kubernetes.io/ssh-auth, and nothing else of it. */
export function parseSshSecret(object: KubeObject): KeyLookup {
  const { namespace, name } = object.metadata;
  const encoded = asText(asRecord(object.data)[SSH_PRIVATE_KEY]);
  const privateKey = Buffer.from(encoded ?? '', 'base64').toString('utf8');
  if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(privateKey)) {
    const message = `The Secret ${namespace}/${name} holds no private key under ${SSH_PRIVATE_KEY}: put the key in OpenSSH or PEM format there.`;
    return { ok: false, reason: 'SecretUnreadable', message };
  }
  return { ok: true, privateKey };
}

/** What to say when the namespace has no such Secret of the right type. */
export function missingSecret(namespace: string, name: string): KeyLookup {
  const create = `kubectl create secret generic ${name} --namespace ${namespace} --type ${SSH_SECRET_TYPE} --from-file ${SSH_PRIVATE_KEY}=FILE`;
  const message = `There is no Secret ${namespace}/${name} of type ${SSH_SECRET_TYPE}: make it with \`${create}\`.`;
  return { ok: false, reason: 'SecretMissing', message };
}
