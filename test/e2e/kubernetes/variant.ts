import { LabDir } from '../../lab/lab-dir.ts';

export type Family = 'IPv4' | 'IPv6';
/** kube-proxy's mode on every node of a lab. */
export type ProxyMode = 'nftables' | 'iptables';

/** One way to forward, behind one kube-proxy, in one family or both: everything that a case may depend on. */
export interface Variant {
  readonly name: string;
  readonly proxyMode: ProxyMode;
  readonly forwardingMethod: 'DirectRouting' | 'Masquerading';
  readonly backends: 'Nodes' | 'Pods';
  /** As in `spec.ipFamilies`, the primary one first. */
  readonly families: readonly Family[];
  /** Ranges of the pool, one for each family. */
  readonly addresses: readonly string[];
  /** More of the pool's spec. */
  readonly pool: Readonly<Record<string, unknown>>;
  /** Numbers of the cases that run with it. */
  readonly cases: readonly string[];
}

const ALL = Array.from({ length: 17 }, (_, index) => `E${String(index + 1).padStart(2, '0')}`);

/**
 * Each case runs once by direct routing, by masquerading and to pods, once behind either mode of kube-proxy, and once in IPv4, IPv6 and
 * dual-stack; docs/compatibility.md has the table.
 */
const VARIANTS: readonly Variant[] = [
  {
    ...{ name: 'direct routing, IPv4', proxyMode: 'nftables', forwardingMethod: 'DirectRouting', backends: 'Nodes' },
    ...{ families: ['IPv4'], addresses: ['203.0.113.110-203.0.113.119'], pool: {}, cases: ALL },
  },
  {
    ...{ name: 'pods, dual-stack', proxyMode: 'nftables', forwardingMethod: 'Masquerading', backends: 'Pods' },
    ...{ families: ['IPv6', 'IPv4'], pool: { snat: true }, cases: ALL },
    addresses: ['203.0.113.120-203.0.113.129', '2001:db8:113::1:20-2001:db8:113::1:2f'],
  },
  {
    ...{ name: 'node ports, IPv6', proxyMode: 'iptables', forwardingMethod: 'Masquerading', backends: 'Nodes' },
    ...{ families: ['IPv6'], addresses: ['2001:db8:113::1:30-2001:db8:113::1:3f'], pool: { snat: true }, cases: ALL },
  },
];

/** The variants that the lab of this process is for. */
export function variantsHere(): readonly Variant[] {
  const { proxyMode } = LabDir.current().state();
  return VARIANTS.filter((variant) => variant.proxyMode === proxyMode);
}
