import { LabDir } from '../../lab/lab-dir.ts';
import { GUE_PORT } from '../../lab/vm/node-vm.ts';

export type Family = 'IPv4' | 'IPv6';
/** kube-proxy's mode on every node of a lab; with ipvs the nodes are virtual machines, which also take tunnels. */
export type ProxyMode = 'nftables' | 'iptables' | 'ipvs';

/** One way to forward, behind one kube-proxy, in one family or both: everything that a case may depend on. */
export interface Variant {
  readonly name: string;
  readonly proxyMode: ProxyMode;
  readonly forwardingMethod: 'DirectRouting' | 'Masquerading' | 'Tunneling';
  readonly backends: 'Nodes' | 'Pods';
  /** As in `spec.ipFamilies`, the primary one first. */
  readonly families: readonly Family[];
  /** Ranges of the pool, one for each family. */
  readonly addresses: readonly string[];
  /** More of the pool's spec. */
  readonly pool: Readonly<Record<string, unknown>>;
  /** Numbers of the cases that `make test` runs with it, which has no nodes for mode ipvs; `make e2e-kubernetes` runs all. */
  readonly cases: readonly string[];
}

const ALL = Array.from({ length: 17 }, (_, index) => `E${String(index + 1).padStart(2, '0')}`);

/**
 * Each case runs by direct routing, by masquerading, by tunnel and to pods, behind each mode of kube-proxy, and in IPv4, IPv6 and
 * dual-stack; docs/compatibility.md has the table. A node that is a virtual machine takes one to two minutes for a case.
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
  {
    ...{
      name: 'direct routing, dual-stack',
      proxyMode: 'iptables',
      forwardingMethod: 'DirectRouting',
      backends: 'Nodes',
    },
    ...{ families: ['IPv6', 'IPv4'], pool: {}, cases: ['E01', 'E03', 'E04', 'E14', 'E15', 'E16', 'E17'] },
    addresses: ['203.0.113.170-203.0.113.179', '2001:db8:113::1:70-2001:db8:113::1:7f'],
  },
  {
    ...{ name: 'ipip tunnel, IPv4', proxyMode: 'ipvs', forwardingMethod: 'Tunneling', backends: 'Nodes' },
    ...{ families: ['IPv4'], addresses: ['203.0.113.140-203.0.113.149'], cases: ALL },
    pool: { tunnel: { type: 'ipip' } },
  },
  {
    ...{ name: 'GUE tunnel, IPv6', proxyMode: 'ipvs', forwardingMethod: 'Tunneling', backends: 'Nodes' },
    ...{ families: ['IPv6'], addresses: ['2001:db8:113::1:50-2001:db8:113::1:5f'], cases: ALL },
    pool: { tunnel: { type: 'gue', port: GUE_PORT } },
  },
  {
    ...{ name: 'direct routing, dual-stack', proxyMode: 'ipvs', forwardingMethod: 'DirectRouting', backends: 'Nodes' },
    ...{ families: ['IPv4', 'IPv6'], pool: {}, cases: ALL },
    addresses: ['203.0.113.160-203.0.113.169', '2001:db8:113::1:60-2001:db8:113::1:6f'],
  },
];

/** The variants that the lab of this process is for; with KUBERNETES_CASES=all each with all cases. */
export function variantsHere(): readonly Variant[] {
  const { proxyMode, vmNodes, vmProxyMode } = LabDir.current().state();
  const here = vmNodes > 0 ? vmProxyMode : proxyMode;
  const variants = VARIANTS.filter((variant) => variant.proxyMode === here);
  return process.env.KUBERNETES_CASES === 'all' ? variants.map((variant) => ({ ...variant, cases: ALL })) : variants;
}
