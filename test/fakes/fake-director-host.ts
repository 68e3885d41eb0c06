import type { HelperError } from '../../operator/controllers/ports.ts';
import type { ConnectionTimeouts, HostSettings } from '../../operator/model/host-settings.ts';
import type { PlannedChange } from './fake-director-changes.ts';
import type { FakePolicy } from './fake-director-refusals.ts';

/** What the helper says of a masquerading virtual server on a host without connection tracking of IPVS. */
export const NO_CONNTRACK = 'masquerade needs net.ipv4.vs.conntrack=1 on this director: set it';

/** What docs/install.md has the administrator set, and the kernel's own timeouts. */
const AS_INSTALLED = {
  'net.ipv4.vs.conntrack': '0',
  'net.ipv4.vs.expire_nodest_conn': '1',
  'net.ipv4.vs.expire_quiescent_template': '1',
  'net.ipv4.vs.sloppy_tcp': '1',
};

/** A director's kernel beside its table: parameters and timeouts. */
export class FakeDirectorHost {
  #sysctls = new Map<string, string>(Object.entries(AS_INSTALLED));
  #timeouts: ConnectionTimeouts = { tcpSeconds: 900, tcpFinSeconds: 120, udpSeconds: 300 };

  get tracksConnections(): boolean {
    return this.#sysctls.get('net.ipv4.vs.conntrack') === '1';
  }

  get timeouts(): ConnectionTimeouts {
    return this.#timeouts;
  }

  sysctl(name: string): string | undefined {
    return this.#sysctls.get(name);
  }

  /** A reboot: only what is in /etc/sysctl.d holds again. */
  reboot(): void {
    this.become(new FakeDirectorHost());
  }

  become(other: FakeDirectorHost): void {
    this.#sysctls = new Map(other.#sysctls);
    this.#timeouts = other.#timeouts;
  }

  set(wanted: HostSettings, policy: FakePolicy, progress: { changes: PlannedChange[]; errors: HelperError[] }): void {
    for (const [name, value] of Object.entries(wanted.sysctls)) this.#setSysctl(name, value, policy, progress);
    if (wanted.timeouts === undefined) return;
    const object = 'timeouts';
    if (policy.host?.timeouts !== true) {
      const message = `${object}: policy rule owners.prod.host.timeouts does not grant setting timeouts`;
      progress.errors.push({ class: 'policy', object, message });
    } else if (JSON.stringify(wanted.timeouts) !== JSON.stringify(this.#timeouts)) {
      this.#timeouts = wanted.timeouts;
      progress.changes.push({ kind: 'setTimeouts', phase: 'host', object, sentence: 'set timeouts' });
    }
  }

  #setSysctl(
    name: string,
    value: string,
    policy: FakePolicy,
    { changes, errors }: { changes: PlannedChange[]; errors: HelperError[] },
  ): void {
    const object = `sysctl ${name}`;
    const before = this.#sysctls.get(name);
    if (before === value) return;
    const granted = policy.host?.sysctls ?? [];
    if (before === undefined) {
      errors.push({ class: 'object', object, message: `${object}: this director's kernel does not have it` });
    } else if (granted.includes('*') || granted.includes(name)) {
      this.#sysctls.set(name, value);
      changes.push({ kind: 'setSysctl', phase: 'host', object, sentence: `set ${object} from ${before} to ${value}` });
    } else {
      const message = `${object}: policy rule owners.prod.host.sysctls (${granted.join(', ')}) does not grant ${name}`;
      errors.push({ class: 'policy', object, message });
    }
  }
}
