import { parseArgs } from 'node:util';
import { KERNEL_SERIES, type KernelSeries } from './image/debian-kernel.ts';

/** How kube-proxy of the lab's nodes routes; its ipvs mode needs a kernel with IPVS, which a namespace does not have. */
const PROXY_MODES = ['nftables', 'iptables'] as const;
const VM_PROXY_MODES = ['ipvs', ...PROXY_MODES] as const;
export type ProxyMode = (typeof PROXY_MODES)[number];
export type VmProxyMode = (typeof VM_PROXY_MODES)[number];

/** What a lab is made of, and what is done in it. */
export interface LabOptions {
  readonly verb: 'run' | 'shell';
  /** Cluster nodes at the start; 1 to 9, more can be added later. */
  readonly nodes: number;
  /** How many of the nodes, from the first, are virtual machines. */
  readonly vmNodes: number;
  /** Director virtual machines; 0 to 4. */
  readonly directors: number;
  readonly kernel: KernelSeries;
  /** Of kube-proxy on the nodes that are namespaces. */
  readonly proxyMode: ProxyMode;
  readonly vmProxyMode: VmProxyMode;
  /** Directory that gets a copy of all logs at the end. */
  readonly logs: string | undefined;
  /** With `run`: program and arguments. */
  readonly command: readonly string[];
}

export const USAGE = `usage: test/lab/lab run [OPTION...] -- PROGRAM [ARGUMENT...]
       test/lab/lab shell [OPTION...]

  --nodes N            cluster nodes, 1 to 9 (2)
  --vm-nodes N         how many of them, from the first, are virtual machines (0)
  --directors N        director virtual machines, 0 to 4 (2)
  --kernel SERIES      kernel of the virtual machines: ${KERNEL_SERIES.join(' or ')} (6.1)
  --proxy-mode MODE    kube-proxy on the other nodes: nftables or iptables (nftables)
  --vm-proxy-mode MODE kube-proxy on the nodes that are virtual machines: ipvs, nftables or iptables (ipvs)
  --logs DIR           copy all logs there at the end
`;

/** Options of a command line (without the program's name); an error says what is wrong with it. */
export function parseLabOptions(argv: readonly string[]): LabOptions {
  const separator = argv.indexOf('--');
  const own = separator < 0 ? argv : argv.slice(0, separator);
  const command = separator < 0 ? [] : argv.slice(separator + 1);
  const { values, positionals } = parseArgs({
    args: [...own],
    allowPositionals: true,
    options: {
      nodes: { type: 'string', default: '2' },
      'vm-nodes': { type: 'string', default: '0' },
      directors: { type: 'string', default: '2' },
      kernel: { type: 'string', default: '6.1' },
      'proxy-mode': { type: 'string', default: 'nftables' },
      'vm-proxy-mode': { type: 'string', default: 'ipvs' },
      logs: { type: 'string' },
    },
  });
  const [verb, ...rest] = positionals;
  if ((verb !== 'run' && verb !== 'shell') || rest.length > 0) throw new Error('the first argument is run or shell');
  if (verb === 'run' && command.length === 0) throw new Error('run needs a program behind --');
  const nodes = numberBetween('--nodes', values.nodes, 1, 9);
  return {
    verb,
    command,
    nodes,
    vmNodes: numberBetween('--vm-nodes', values['vm-nodes'], 0, nodes),
    directors: numberBetween('--directors', values.directors, 0, 4),
    kernel: oneOf('--kernel', values.kernel, KERNEL_SERIES),
    proxyMode: oneOf('--proxy-mode', values['proxy-mode'], PROXY_MODES),
    vmProxyMode: oneOf('--vm-proxy-mode', values['vm-proxy-mode'], VM_PROXY_MODES),
    logs: values.logs,
  };
}

function numberBetween(option: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < least || value > most)
    throw new Error(`${option} takes a number from ${least} to ${most}, not ${text}`);
  return value;
}

function oneOf<T extends string>(option: string, text: string, allowed: readonly T[]): T {
  const found = allowed.find((value) => value === text);
  if (found === undefined) throw new Error(`${option} is one of ${allowed.join(', ')}, not ${text}`);
  return found;
}
