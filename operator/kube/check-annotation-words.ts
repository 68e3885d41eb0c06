import { API_GROUP } from '../model/names.ts';
import { quoted } from './quoted.ts';

/** Names of objects are DNS subdomains (RFC 1123). */
const OBJECT_NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;
/** A word that means nothing but itself; what is stored again in an allocation record is bounded. */
const TOKEN = /^[^\p{C}\p{Z}]{1,253}$/u;

/** Annotations of our group that hold one word, what it must be, and how to say so. */
const WORDS: readonly { readonly name: string; readonly shape: RegExp; readonly remedy: string }[] = [
  {
    name: `${API_GROUP}/address-pool`,
    shape: OBJECT_NAME,
    remedy: 'which cannot be the name of a LoadBalancerPool: write the name of one, or remove it.',
  },
  ...['allow-shared-ip', 'reallocate'].map((name) => ({
    name: `${API_GROUP}/${name}`,
    shape: TOKEN,
    remedy: 'which is no single word of at most 253 visible characters: write one, or remove it.',
  })),
];

/** Adds a sentence for each annotation whose word cannot be one. */
export function checkAnnotationWords(annotations: Readonly<Record<string, string>>, problems: string[]): void {
  for (const { name, shape, remedy } of WORDS) {
    const text = annotations[name]?.trim();
    if (text && !shape.test(text)) problems.push(`The annotation ${name} has the value ${quoted(text)}, ${remedy}`);
  }
}
