import assert from 'node:assert/strict';
import { answeringPods, authority, type ClientName, hostname, PATHS } from '../answers.ts';
import type { Stored } from '../cluster.ts';
import { eventually } from '../eventually.ts';
import { untilOnDirectors } from '../kernel.ts';
import { pool, type ServiceOptions, service } from '../manifests.ts';
import { nodesOf } from '../nodes.ts';
import { Scene } from '../scene.ts';
import { cluster, lab } from '../world.ts';
import type { Variant } from './variant.ts';

export type Protocol = 'TCP' | 'UDP';
const POOL = 'kubernetes';

/** One variant with its pool, and the Deployment `web` of one pod on each of two nodes. */
export class Stage {
  readonly variant: Variant;
  readonly scene: Scene;
  /** Pods of `web` and their nodes. */
  readonly web: ReadonlyMap<string, string>;

  private constructor(variant: Variant, scene: Scene, web: ReadonlyMap<string, string>) {
    this.variant = variant;
    this.scene = scene;
    this.web = web;
  }

  static async open(variant: Variant, number: number): Promise<Stage> {
    const scene = await Scene.open(`kubernetes-${number}`);
    const { addresses, forwardingMethod, backends } = variant;
    await trackConnections(variant.pool.snat === true);
    await scene.apply(pool(POOL, { addresses, forwardingMethod, backends, ...variant.pool }));
    return new Stage(variant, scene, await scene.app('web', { replicas: 2 }));
  }

  get namespace(): string {
    return this.scene.namespace;
  }

  /** Directors do not pass on who the client is. */
  get hidesClients(): boolean {
    return this.variant.pool.snat === true;
  }

  /** A Service from the variant's pool, in its families. */
  manifest(name: string, options: Partial<ServiceOptions> = {}): ReturnType<typeof service> {
    const families = this.variant.families;
    const spec = {
      ipFamilies: families,
      ipFamilyPolicy: families.length === 2 ? 'RequireDualStack' : 'SingleStack',
      ...options.spec,
    };
    return service({ namespace: this.namespace, name, app: 'web', pool: POOL, ...options, spec });
  }

  /** Creates it and waits for its addresses, one for each family. */
  async serve(name: string, options: Partial<ServiceOptions> = {}): Promise<readonly string[]> {
    await this.scene.apply(this.manifest(name, options));
    return await this.addresses(name);
  }

  addresses(name: string): Promise<readonly string[]> {
    return this.scene.addresses(name, this.variant.families.length);
  }

  async get(name: string): Promise<Stored> {
    return await cluster().get('service', name, this.namespace);
  }

  async patch(name: string, spec: object): Promise<void> {
    await cluster().patch('service', name, { spec }, this.namespace);
  }

  async remove(name: string): Promise<void> {
    await this.scene.remove('service', name);
  }

  /** Waits until ipvsadm shows on both directors exactly the real servers that Service and pods of now ask for. */
  async untilProgrammed(name: string): Promise<void> {
    await eventually(
      `the virtual servers of ${name}`,
      async () => {
        const stored = await this.get(name);
        const [port] = stored.spec.ports;
        for (const { ip } of stored.status.loadBalancer.ingress) {
          const key = `${port.protocol} ${authority(ip, port.port)}`;
          const realServers = await this.#realServers(stored, ip.includes(':'));
          await untilOnDirectors(key, { realServers }, undefined, { timeoutMs: 2_000 });
        }
        return true;
      },
      { everyMs: 500, timeoutMs: 90_000 },
    );
  }

  /** Waits until neither director has a virtual server there. */
  async untilGone(addresses: readonly string[], protocol: Protocol, port = 80): Promise<void> {
    for (const address of addresses) await untilOnDirectors(`${protocol} ${authority(address, port)}`, 'absent');
  }

  async #realServers(stored: Stored, ipv6: boolean): Promise<string[]> {
    const { forwardingMethod, backends } = this.variant;
    const [port] = stored.spec.ports;
    const pods = await this.readyPods(stored.spec.selector.app);
    const real = (address: string, at: number) => `${authority(address, at)} ${forwardingMethod} 1`;
    if (backends === 'Pods') {
      const ips = pods.map((pod) => pod.status.podIPs.find(({ ip }: { ip: string }) => ip.includes(':') === ipv6).ip);
      return ips.map((ip) => real(ip, port.targetPort));
    }
    const hosts = new Set(pods.map((pod) => pod.spec.nodeName));
    const nodes = (await nodesOf(lab())).filter(
      ({ name }) => stored.spec.externalTrafficPolicy !== 'Local' || hosts.has(name),
    );
    const at = forwardingMethod === 'Masquerading' ? port.nodePort : port.port;
    return nodes.map((node) => real(ipv6 ? node.address6 : node.address, at));
  }

  async readyPods(app: string): Promise<readonly Stored[]> {
    const pods = await cluster().list('pods', this.namespace, `app=${app}`);
    return pods.filter(
      ({ metadata, status }) =>
        metadata.deletionTimestamp === undefined &&
        status.conditions?.some((c: { type: string; status: string }) => c.type === 'Ready' && c.status === 'True'),
    );
  }

  /** Waits until clients outside, by way of either director, are answered by so many pods at each address. */
  async untilAnswered(
    addresses: readonly string[],
    protocol: Protocol,
    port = 80,
    pods = this.web.size,
  ): Promise<void> {
    for (const address of addresses) await answeringPods(protocol, 'client', authority(address, port), pods);
  }

  /** Waits until there is no answer twice in a row, by each director. */
  async untilSilent(addresses: readonly string[], protocol: Protocol, port = 80): Promise<void> {
    for (const address of addresses) {
      for (const [, client] of PATHS.slice(1)) await untilSilentFor(client, protocol, authority(address, port));
    }
  }

  async close(): Promise<void> {
    await this.scene.close();
    await trackConnections(false);
  }
}

/** What an administrator sets on directors for snat. */
async function trackConnections(on: boolean): Promise<void> {
  for (const director of lab().directors) await director.read(`echo ${on ? 1 : 0} >/proc/sys/net/ipv4/vs/conntrack`);
}

/** Waits until this client gets no answer twice in a row. */
export async function untilSilentFor(client: ClientName, protocol: Protocol, host: string): Promise<void> {
  await eventually(`${client} to get no answer over ${protocol} at ${host}`, async () => {
    for (let n = 0; n < 2; n += 1) await assert.rejects(hostname(protocol, client, host, 1_000), `${host} answers`);
    return true;
  });
}
