/** metav1.Condition without lastTransitionTime, which the status writer adds when `status` changes. */
export interface Condition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  /** CamelCase, from the documented table of reasons. */
  readonly reason: string;
  /** A sentence for a person: what is, since what cause, and what to do. */
  readonly message: string;
  readonly observedGeneration?: number;
}
