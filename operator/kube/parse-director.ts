import { directorSpec } from '../api/director.ts';
import type { Director } from '../model/director.ts';
import { parseIpAddress } from '../model/ip-address.ts';
import type { Parsed } from '../model/parsed.ts';
import type { KubeObject } from './kube-object.ts';
import { schemaProblems } from './schema-problems.ts';

/** A Director as the operator uses it, or every problem it has. */
export function parseDirector(object: KubeObject): Parsed<Director> {
  const { name, uid, generation = 0, labels = {}, deletionTimestamp } = object.metadata;
  const read = directorSpec.safeParse(object.spec);
  if (!read.success) return { ok: false, name, generation, problems: schemaProblems(read.error) };
  const { credentials, address: addressText, hostKeys, ...spec } = read.data;
  const address = parseIpAddress(addressText);
  if (address === undefined) {
    const problem = `spec.address: '${addressText}' is not an IP address; write one without prefix or port.`;
    return { ok: false, name, generation, problems: [problem] };
  }
  return {
    ok: true,
    value: {
      name,
      uid,
      generation,
      labels,
      deleting: deletionTimestamp !== undefined,
      address,
      hostKeys: hostKeys.map(withoutComment),
      secretName: credentials.secretName,
      ...spec,
    },
  };
}

/** `algorithm base64`, without the comment that ssh-keygen writes behind. */
function withoutComment(hostKey: string): string {
  return hostKey.trim().split(/\s+/).slice(0, 2).join(' ');
}
