import { type CidrRange, compareCidrRanges, parseCidrRange } from '../model/cidr-range.ts';
import { SOURCE_RANGES_ANNOTATION } from '../model/names.ts';
import { asArray } from './kube-object.ts';
import { quoted } from './quoted.ts';

/**
 * The clients that may use a Service: spec.loadBalancerSourceRanges or, where that is empty, the comma list of the annotation that came
 * before it. Like the API server: blanks around a range and bits behind its prefix do not matter.
 *
 * @returns sorted, each once; empty: everyone.
 */
export function parseSourceRanges(
  field: unknown,
  annotations: Readonly<Record<string, string>>,
  problems: string[],
): readonly CidrRange[] {
  const listed = asArray(field).map(String);
  if (listed.length > 0) return parseRanges('spec.loadBalancerSourceRanges', listed, problems);
  const text = annotations[SOURCE_RANGES_ANNOTATION]?.trim() ?? '';
  return text === '' ? [] : parseRanges(`The annotation ${SOURCE_RANGES_ANNOTATION}`, text.split(','), problems);
}

function parseRanges(where: string, texts: readonly string[], problems: string[]): readonly CidrRange[] {
  const ranges = new Set<CidrRange>();
  for (const text of texts) {
    const range = parseCidrRange(text.trim());
    if (range !== undefined) ranges.add(range);
    else
      problems.push(
        `${where}: ${quoted(text)} is not a CIDR range; write for example 198.51.100.0/24 or 2001:db8::/32, or remove it.`,
      );
  }
  return [...ranges].sort(compareCidrRanges);
}
