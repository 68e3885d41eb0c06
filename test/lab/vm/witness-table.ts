/** A real server as ipvsadm saves it. */
export interface WitnessRealServer {
  /** `address:port`, IPv6 in brackets. */
  readonly address: string;
  readonly weight: number;
  readonly forwardingMethod: 'DirectRouting' | 'Masquerading' | 'Tunneling';
}

/** A virtual server as ipvsadm saves it. */
export interface WitnessVirtualServer {
  /** `TCP 203.0.113.10:80`, as people read it everywhere in this project; `FWM 7` for a firewall mark. */
  readonly key: string;
  readonly scheduler: string;
  readonly schedulerFlags: readonly string[];
  readonly persistenceSeconds?: number;
  readonly onePacket: boolean;
  /** In the kernel's order. */
  readonly realServers: readonly WitnessRealServer[];
}

/** What the kernel of a director holds, told by ipvsadm(8) and not by our own tools; in the kernel's order. */
export type WitnessTable = readonly WitnessVirtualServer[];

const PROTOCOLS: Record<string, string> = { '-t': 'TCP', '-u': 'UDP', '--sctp-service': 'SCTP', '-f': 'FWM' };
const METHODS: Record<string, WitnessRealServer['forwardingMethod']> = {
  '-g': 'DirectRouting',
  '-m': 'Masquerading',
  '-i': 'Tunneling',
};

/** Reads what `ipvsadm -Sn` prints: one `-A` line for each virtual server and one `-a` line for each of its real servers. */
export function parseWitnessTable(saved: string): WitnessTable {
  const table = new Map<string, WitnessVirtualServer & { realServers: WitnessRealServer[] }>();
  for (const line of saved.split('\n').filter((text) => text.trim() !== '')) {
    const words = line.trim().split(/\s+/);
    const key = `${PROTOCOLS[words[1] ?? ''] ?? words[1]} ${words[2]}`;
    if (words[0] === '-A') table.set(key, { key, ...virtualServer(words), realServers: [] });
    else if (words[0] === '-a') table.get(key)?.realServers.push(realServer(words, line));
    else throw new Error(`not a line of ipvsadm -Sn: ${line}`);
  }
  return [...table.values()];
}

function virtualServer(words: readonly string[]): Omit<WitnessVirtualServer, 'key' | 'realServers'> {
  const persistence = option(words, '-p');
  return {
    scheduler: option(words, '-s') ?? '',
    schedulerFlags: option(words, '-b')?.split(',') ?? [],
    ...(persistence === undefined ? {} : { persistenceSeconds: Number(persistence) }),
    onePacket: words.includes('-o') || words.includes('--ops'),
  };
}

function realServer(words: readonly string[], line: string): WitnessRealServer {
  const forwardingMethod = METHODS[words.find((word) => word in METHODS) ?? ''];
  const address = option(words, '-r');
  if (forwardingMethod === undefined || address === undefined) throw new Error(`not a line of ipvsadm -Sn: ${line}`);
  return { address, weight: Number(option(words, '-w') ?? 1), forwardingMethod };
}

function option(words: readonly string[], name: string): string | undefined {
  const at = words.indexOf(name);
  return at < 0 ? undefined : words[at + 1];
}
