import { TABLE_OWNER } from '../lab/directors.ts';
import { DIRECTOR_USER } from '../lab/image/base-image.ts';
import type { DirectorVm } from '../lab/vm/director-vm.ts';

/** A real server as the wire carries it (docs/wire-protocol.md), with what is usual left out. */
export interface WireRealServer {
  readonly address: string;
  readonly port: number;
  readonly forwardingMethod: 'DirectRouting' | 'Masquerading' | 'Tunneling' | 'Local';
  readonly weight?: number;
  readonly upperThreshold?: number;
  readonly lowerThreshold?: number;
  readonly tunnel?: { readonly type: 'ipip' | 'gue' | 'gre'; readonly port?: number; readonly checksum: boolean };
}

export type WireKey =
  | { readonly address: string; readonly port: number; readonly protocol: 'TCP' | 'UDP' }
  | { readonly firewallMark: number; readonly family: 'IPv4' | 'IPv6' };

/** A virtual server as the wire carries it, with what is usual left out. */
export type WireVirtualServer = WireKey & {
  readonly scheduler?: string;
  readonly schedulerFlags?: readonly string[];
  readonly persistence?: { readonly timeoutSeconds: number; readonly prefixLength: number };
  readonly onePacket?: boolean;
  readonly sourceRanges?: readonly string[];
  readonly mssClamp?: number;
  readonly realServers: readonly WireRealServer[];
};

interface ApplyAnswer {
  readonly errors: readonly { readonly class: string; readonly object?: string; readonly message: string }[];
  readonly failed: readonly unknown[];
  readonly writes: number;
}

/** What the administrator grants for these tests: every forwarding method, and some firewall marks. */
const POLICY = {
  owners: {
    [TABLE_OWNER]: {
      virtualServers: ['203.0.113.0/24', '2001:db8:113::/64'],
      realServers: ['192.0.2.0/24', '2001:db8:2::/64', '203.0.113.0/24', '2001:db8:113::/64'],
      interfaces: ['lo'],
      firewallMarks: ['1-100'],
    },
  },
};

let generation = 0;

/** Requests of one run are numbered across its files: a director refuses one that is older than the last. */
export function nextGeneration(): number {
  generation += 1;
  return generation;
}

/** A director whose table is written by the product's helper alone, run as its own user. */
export class ProgrammedDirector {
  readonly machine: DirectorVm;

  private constructor(machine: DirectorVm) {
    this.machine = machine;
  }

  /** Grants what the tests need. */
  static async prepare(machine: DirectorVm): Promise<ProgrammedDirector> {
    await machine.read(`echo '${JSON.stringify(POLICY)}' >/etc/ipvs-operator/policy.json`);
    return new ProgrammedDirector(machine);
  }

  /** Makes these virtual servers as said, in one request; anything but success is an error. */
  async apply(...virtualServers: readonly WireVirtualServer[]): Promise<void> {
    const { errors, failed } = await this.tryApply(...virtualServers);
    if (errors.length > 0 || failed.length > 0)
      throw new Error(`${this.machine.name} refuses: ${errors.map(({ message }) => message).join(' / ')}`);
  }

  /** The helper's answer, whatever it is. */
  async tryApply(...virtualServers: readonly WireVirtualServer[]): Promise<ApplyAnswer> {
    return await this.#request('listed', virtualServers.map(complete));
  }

  /** Takes away all that was made. */
  async clear(): Promise<void> {
    await this.#request('all', []);
  }

  async #request(scope: 'listed' | 'all', virtualServers: readonly object[]): Promise<ApplyAnswer> {
    const request = {
      id: 1,
      op: 'apply',
      epoch: 1,
      generation: nextGeneration(),
      dryRun: false,
      scope,
      interface: 'lo',
      virtualServers,
      absent: [],
    };
    const helper = `/usr/lib/ipvs-operator/ipvs-helper apply --once --json --owner ${TABLE_OWNER}`;
    const { stdout, stderr } = await this.machine.exec(
      `echo '${JSON.stringify(request)}' | su -s /bin/sh ${DIRECTOR_USER.name} -c '${helper}'`,
    );
    if (!stdout.startsWith('{'))
      throw new Error(`the helper on ${this.machine.name} fails: ${stderr.trim() || stdout.trim()}`);
    return JSON.parse(stdout) as ApplyAnswer;
  }
}

function complete(virtualServer: WireVirtualServer): object {
  return {
    scheduler: 'rr',
    schedulerFlags: [],
    onePacket: false,
    ...virtualServer,
    realServers: virtualServer.realServers.map((each) => ({
      weight: 1,
      upperThreshold: 0,
      lowerThreshold: 0,
      ...each,
    })),
  };
}
