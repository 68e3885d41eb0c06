import { ANNOTATION } from '../model/names.ts';
import { quoted } from './quoted.ts';

/** Other implementations whose annotations may be understood. */
export const ALIAS_GROUPS = ['metallb', 'cilium', 'kube-vip'] as const;
export type AliasGroup = (typeof ALIAS_GROUPS)[number];

type Annotations = Readonly<Record<string, string>>;

/** What means the same as an annotation of ours, old prefixes included. */
const ALIASES: Readonly<Record<AliasGroup, Readonly<Record<string, string>>>> = {
  metallb: {
    'metallb.io/loadBalancerIPs': ANNOTATION.loadBalancerIPs,
    'metallb.universe.tf/loadBalancerIPs': ANNOTATION.loadBalancerIPs,
    'metallb.io/address-pool': ANNOTATION.addressPool,
    'metallb.universe.tf/address-pool': ANNOTATION.addressPool,
    'metallb.io/allow-shared-ip': ANNOTATION.allowSharedIP,
    'metallb.universe.tf/allow-shared-ip': ANNOTATION.allowSharedIP,
  },
  cilium: {
    'lbipam.cilium.io/ips': ANNOTATION.loadBalancerIPs,
    'io.cilium/lb-ipam-ips': ANNOTATION.loadBalancerIPs,
    'lbipam.cilium.io/sharing-key': ANNOTATION.allowSharedIP,
    'io.cilium/lb-ipam-sharing-key': ANNOTATION.allowSharedIP,
  },
  'kube-vip': { 'kube-vip.io/loadbalancerIPs': ANNOTATION.loadBalancerIPs },
};

/**
 * The annotations with those of other implementations under our names. Where two say different things the first stays, ours before all, and a sentence goes to
 * `problems`: guessing which is meant could move an address.
 */
export function withAliases(annotations: Annotations, groups: readonly AliasGroup[], problems: string[]): Annotations {
  const merged: Record<string, string> = {};
  const source: Record<string, string> = {};
  for (const [alias, ours] of groups.flatMap((group) => Object.entries(ALIASES[group]))) {
    const value = annotations[alias];
    if (value === undefined) continue;
    const known = merged[ours] ?? annotations[ours];
    if (known === undefined) {
      merged[ours] = value;
      source[ours] = alias;
    } else if (meaning(known) !== meaning(value)) {
      const other = source[ours] ?? ours;
      problems.push(
        `The annotation ${alias} says ${quoted(value)}, but ${other} says ${quoted(known)}: remove one of them, or make them equal.`,
      );
    }
  }
  return { ...annotations, ...merged };
}

/** Equal for lists that differ in order and blanks only. */
function meaning(value: string): string {
  return value
    .split(',')
    .map((part) => part.trim())
    .sort()
    .join();
}
