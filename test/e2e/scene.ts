import assert from 'node:assert/strict';
import { eventually } from './eventually.ts';
import { type DeploymentOptions, deployment, type Manifest } from './manifests.ts';
import { cluster } from './world.ts';

/** A namespace of its own for one subject, and everything made for it; nothing of it stays. */
export class Scene {
  readonly namespace: string;
  readonly #clusterScoped: { readonly kind: string; readonly name: string }[] = [];

  private constructor(namespace: string) {
    this.namespace = namespace;
  }

  static async open(subject: string): Promise<Scene> {
    const scene = new Scene(`e2e-${subject}`);
    await cluster().apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: scene.namespace } });
    return scene;
  }

  /** `kubectl apply`; objects outside the namespace are remembered and go when the scene closes. */
  async apply(...manifests: readonly Manifest[]): Promise<void> {
    await cluster().apply(...manifests);
    for (const { kind, metadata } of manifests) {
      if (metadata.namespace === undefined) this.#clusterScoped.push({ kind, name: metadata.name });
    }
  }

  /** Deploys echo servers and waits until all are ready. */
  async app(
    name: string,
    options: Omit<DeploymentOptions, 'namespace' | 'name'> = {},
  ): Promise<ReadonlyMap<string, string>> {
    await cluster().apply(deployment({ namespace: this.namespace, name, ...options }));
    return this.settledPods(name, options.replicas ?? 2);
  }

  async scale(name: string, replicas: number): Promise<ReadonlyMap<string, string>> {
    await cluster().kubectl('scale', 'deployment', name, `--replicas=${replicas}`, '-n', this.namespace);
    return this.settledPods(name, replicas);
  }

  /** Waits until exactly so many pods of the app exist, all ready; gives back pod name → node name. */
  async settledPods(
    app: string,
    count: number,
    accept: (pods: ReadonlyMap<string, string>) => boolean = () => true,
  ): Promise<ReadonlyMap<string, string>> {
    return eventually(`${count} ready pods of ${this.namespace}/${app}`, async () => {
      const items = await cluster().list('pods', this.namespace, `app=${app}`);
      const ready = items.filter((pod) => pod.metadata.deletionTimestamp === undefined && isReady(pod));
      const pods = new Map<string, string>(ready.map((pod) => [pod.metadata.name, pod.spec.nodeName]));
      assert.equal(items.length, count, `${items.length} pods, ${ready.length} ready`);
      assert.equal(ready.length, count, `${ready.length} of them ready`);
      assert.ok(accept(pods), `they run on ${[...pods.values()].join(', ')}`);
      return pods;
    });
  }

  /** Waits for the published addresses of a Service, in the order of the status. */
  async addresses(name: string, count: number): Promise<readonly string[]> {
    return eventually(`${count} addresses of Service ${this.namespace}/${name}`, async () => {
      const stored = await cluster().get('service', name, this.namespace);
      const ingress: { ip: string }[] = stored?.status.loadBalancer.ingress ?? [];
      assert.equal(ingress.length, count, `status.loadBalancer.ingress is ${JSON.stringify(ingress)}`);
      return ingress.map(({ ip }) => ip);
    });
  }

  /** Deletes an object of the namespace and waits until it is gone, finalizers and all. */
  async remove(kind: string, name: string): Promise<void> {
    await cluster().kubectl('delete', kind, name, '-n', this.namespace, '--timeout=40s', '--ignore-not-found');
  }

  /** Services first, while their pool and directors exist; then the rest. */
  async close(): Promise<void> {
    await cluster().kubectl('delete', 'services', '--all', '-n', this.namespace, '--timeout=40s');
    for (const { kind, name } of this.#clusterScoped.toReversed()) {
      await cluster().kubectl('delete', kind, name, '--timeout=40s', '--ignore-not-found');
    }
    await cluster().kubectl('delete', 'namespace', this.namespace, '--wait=false');
  }
}

// biome-ignore lint/suspicious/noExplicitAny: what kubectl prints
function isReady(pod: any): boolean {
  return (pod.status.conditions ?? []).some(
    ({ type, status }: { type: string; status: string }) => type === 'Ready' && status === 'True',
  );
}
