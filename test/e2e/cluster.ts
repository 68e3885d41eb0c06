import type { Lab } from '../lab/lab.ts';
import { patience } from './eventually.ts';
import type { Manifest } from './manifests.ts';

/** An object as the API server stores it; tests look at what they know to be there. */
// biome-ignore lint/suspicious/noExplicitAny: any kind of object, field access is the assertion
export type Stored = any;

/** The cluster as its administrator sees it: kubectl and nothing else. */
export class Cluster {
  readonly #lab: Lab;

  constructor(lab: Lab) {
    this.#lab = lab;
  }

  /** Runs kubectl as administrator; rejects with what it said when it fails. */
  async kubectl(...args: readonly string[]): Promise<string> {
    return (await this.#lab.kubectl(args)).stdout;
  }

  /** Runs kubectl apply, which must refuse; gives back what it said. */
  async refusal(...manifests: readonly Manifest[]): Promise<string> {
    const { code, stderr } = await this.#lab.kubectl(['apply', '-f', '-'], { input: listOf(manifests), check: false });
    if (code === 0) throw new Error(`kubectl apply took ${manifests.map(({ metadata }) => metadata.name).join(', ')}`);
    return stderr;
  }

  async apply(...manifests: readonly Manifest[]): Promise<void> {
    await this.#lab.kubectl(['apply', '-f', '-'], { input: listOf(manifests) });
  }

  /** Makes new objects. Unlike {@link apply} it stores nothing beside them, so that annotations may be as long as the API server takes them. */
  async create(...manifests: readonly Manifest[]): Promise<void> {
    await this.#lab.kubectl(['create', '-f', '-'], { input: listOf(manifests) });
  }

  /** undefined when there is no such object. */
  async get(kind: string, name: string, namespace?: string): Promise<Stored> {
    const text = await this.kubectl('get', kind, name, ...inNamespace(namespace), '-o', 'json', '--ignore-not-found');
    return text === '' ? undefined : JSON.parse(text);
  }

  async list(kind: string, namespace?: string, selector?: string): Promise<readonly Stored[]> {
    const select = selector === undefined ? [] : ['-l', selector];
    return JSON.parse(await this.kubectl('get', kind, ...inNamespace(namespace), ...select, '-o', 'json')).items;
  }

  async patch(kind: string, name: string, patch: object, namespace?: string, type = 'merge'): Promise<void> {
    await this.kubectl('patch', kind, name, ...inNamespace(namespace), `--type=${type}`, '-p', JSON.stringify(patch));
  }

  /** Waits until all pods of `deployment/NAME` or `daemonset/NAME` are of its newest kind; they are replaced one after the other. */
  async rolledOut(workload: string, namespace: string): Promise<void> {
    await this.kubectl('rollout', 'status', workload, '-n', namespace, `--timeout=${(2 * patience()) / 1000}s`);
  }

  /** `yes` or `no`: what `kubectl auth can-i` says. */
  async canI(...question: readonly string[]): Promise<string> {
    // The answer no comes with exit code 1.
    const { stdout } = await this.#lab.kubectl(['auth', 'can-i', ...question], { check: false });
    return stdout.trim();
  }

  /** What a person reads when they want to know: status, conditions and events. */
  async describe(kind: string, name: string, namespace?: string): Promise<string> {
    return this.kubectl('describe', kind, name, ...inNamespace(namespace));
  }
}

function inNamespace(namespace: string | undefined): string[] {
  return namespace === undefined ? [] : ['-n', namespace];
}

function listOf(items: readonly Manifest[]): string {
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
}
