/** The part of every Kubernetes object that all readers here share; the rest stays raw until its parser looks at it. */
export interface KubeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ObjectMeta;
  readonly [field: string]: unknown;
}

/** metav1.ObjectMeta as far as it is used here. */
export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly finalizers?: readonly string[];
}

/** Whether the value is JSON of an object that the API server stores: has a name, a uid and a resourceVersion. */
export function isKubeObject(value: unknown): value is KubeObject {
  const metadata = asRecord(asRecord(value).metadata);
  return ['name', 'uid', 'resourceVersion'].every((field) => typeof metadata[field] === 'string');
}

/** What the reflector's store and queues call an object: `namespace/name`, or the name alone when cluster-scoped. */
export function objectKey(metadata: Pick<ObjectMeta, 'namespace' | 'name'>): string {
  return metadata.namespace === undefined ? metadata.name : `${metadata.namespace}/${metadata.name}`;
}

/** The value as a JSON object; empty when it is none. For reading optional fields of raw objects. */
export function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

/** The value as a JSON array; empty when it is none. */
export function asArray(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** The value when it is a string that is not empty. */
export function asText(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
