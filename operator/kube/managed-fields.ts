import { API_GROUP, FIELD_MANAGER } from '../model/names.ts';
import { asArray, asRecord, asText, type KubeObject } from './kube-object.ts';

/**
 * Another field manager that has written into the part of a Service's status that is ours: the addresses, or a condition of our group
 * (metadata.managedFields, structured-merge-diff's FieldsV1); else the one that wrote to the status last. Who only removes fields leaves no
 * trace of having done so.
 *
 * @returns undefined when the server knows of nobody but us.
 */
export function otherStatusWriter({ metadata }: KubeObject): string | undefined {
  const others = asArray(asRecord(metadata).managedFields)
    .map(asRecord)
    .filter(({ subresource, manager }) => subresource === 'status' && asText(manager) !== FIELD_MANAGER)
    .sort((a, b) => String(b.time).localeCompare(String(a.time)));
  const owner = others.find(({ fieldsV1 }) => ownsOurs(asRecord(asRecord(fieldsV1)['f:status']))) ?? others[0];
  return owner === undefined ? undefined : asText(owner.manager);
}

function ownsOurs(status: Readonly<Record<string, unknown>>): boolean {
  const conditions = Object.keys(asRecord(status['f:conditions']));
  return (
    asRecord(status['f:loadBalancer'])['f:ingress'] !== undefined ||
    conditions.some((key) => key.startsWith(`k:{"type":"${API_GROUP}/`))
  );
}
