/** Labels of an object. */
export type LabelSet = Readonly<Record<string, string>>;

/** metav1.LabelSelector, as the API server stores it. An empty selector matches everything. */
export interface LabelSelector {
  readonly matchLabels?: LabelSet;
  readonly matchExpressions?: readonly {
    readonly key: string;
    readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
    readonly values?: readonly string[];
  }[];
}

/** Whether the labels satisfy every requirement of the selector (apimachinery labels.Selector semantics). */
export function matchesSelector(labels: LabelSet, selector: LabelSelector): boolean {
  for (const [key, value] of Object.entries(selector.matchLabels ?? {})) {
    if (labels[key] !== value) return false;
  }
  for (const { key, operator, values = [] } of selector.matchExpressions ?? []) {
    const value = labels[key];
    const holds =
      operator === 'Exists'
        ? value !== undefined
        : operator === 'DoesNotExist'
          ? value === undefined
          : operator === 'In'
            ? value !== undefined && values.includes(value)
            : value === undefined || !values.includes(value);
    if (!holds) return false;
  }
  return true;
}
