/**
 * A rule of the Kubernetes validation language (CEL) that the API server checks, so that a mistake is refused when it is
 * made. `self` is the value the rule stands at; defaults are filled in before. The message names the field, the cause and the
 * remedy; `messageExpression` does so with the offending value.
 *
 * https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation-rules
 */
export interface ValidationRule {
  readonly rule: string;
  readonly message: string;
  readonly messageExpression?: string;
}

/** Metadata of a zod schema that the API server evaluates. */
export function checkedBy(...rules: readonly ValidationRule[]): {
  'x-kubernetes-validations': readonly ValidationRule[];
} {
  return { 'x-kubernetes-validations': rules };
}

/** A list of scalars without repetitions, merged by server-side apply. */
export const SET = { 'x-kubernetes-list-type': 'set' } as const;

/** A list of objects with a key, merged by server-side apply. */
export function mapBy(key: string): {
  'x-kubernetes-list-type': 'map';
  'x-kubernetes-list-map-keys': readonly string[];
} {
  return { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': [key] };
}
