import { parseArgs } from 'node:util';
import { KERNEL_SERIES, type KernelSeries } from './image/debian-kernel.ts';

/** How kube-proxy of the lab's nodes routes; its ipvs mode needs a kernel with IPVS, which a namespace does not have. */
export type ProxyMode = 'nftables' | 'iptables';

/** What a lab is made of, and what is done in it. */
export interface LabOptions {
  readonly verb: 'run' | 'shell';
  /** Cluster nodes at the start; 1 to 9, more can be added later. */
  readonly nodes: number;
  /** Director virtual machines; 0 to 4. */
  readonly directors: number;
  readonly kernel: KernelSeries;
  readonly proxyMode: ProxyMode;
  /** Directory that gets a copy of all logs at the end. */
  readonly logs: string | undefined;
  /** With `run`: program and arguments. */
  readonly command: readonly string[];
}

export const USAGE = `usage: test/lab/lab run [OPTION...] -- PROGRAM [ARGUMENT...]
       test/lab/lab shell [OPTION...]

  --nodes N            cluster nodes, 1 to 9 (2)
  --directors N        director virtual machines, 0 to 4 (2)
  --kernel SERIES      kernel of the directors: ${KERNEL_SERIES.join(' or ')} (6.1)
  --proxy-mode MODE    kube-proxy on the nodes: nftables or iptables (nftables)
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
      directors: { type: 'string', default: '2' },
      kernel: { type: 'string', default: '6.1' },
      'proxy-mode': { type: 'string', default: 'nftables' },
      logs: { type: 'string' },
    },
  });
  const [verb, ...rest] = positionals;
  if ((verb !== 'run' && verb !== 'shell') || rest.length > 0) throw new Error('the first argument is run or shell');
  if (verb === 'run' && command.length === 0) throw new Error('run needs a program behind --');
  return {
    verb,
    command,
    nodes: numberBetween('--nodes', values.nodes, 1, 9),
    directors: numberBetween('--directors', values.directors, 0, 4),
    kernel: oneOf('--kernel', values.kernel, KERNEL_SERIES),
    proxyMode: oneOf('--proxy-mode', values['proxy-mode'], ['nftables', 'iptables'] as const),
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
