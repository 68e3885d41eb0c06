import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ClientName, clientNames, directorName, nodeAddresses, nodeNumber } from './addresses.ts';
import { Client } from './client.ts';
import { isVmNode, nodeNames, startNode, stopNode } from './cluster-nodes.ts';
import { writeKubeconfig } from './control-plane.ts';
import { attachDirectors } from './directors.ts';
import { CONTROLPLANE, LabDir } from './lab-dir.ts';
import { routeVips, setDirectorLink } from './network.ts';
import { OperatorProcess } from './operator-process.ts';
import { mustRun, type ProgramResult, runProgram } from './run-program.ts';
import { waitForNode } from './start-lab.ts';
import type { DirectorVm } from './vm/director-vm.ts';
import { NodeVm } from './vm/node-vm.ts';
import { waitFor } from './wait-for.ts';

/** Namespace, ServiceAccount and Deployment of the operator in config/default. */
export const OPERATOR_NAMESPACE = 'ipvs-system';
export const OPERATOR_NAME = 'ipvs-operator';

export interface KubectlOptions {
  readonly input?: string;
  /** Default `admin`. `operator` is exactly the operator's ServiceAccount. */
  readonly as?: 'admin' | 'operator';
  /** An exit code other than 0 is an error (the default), or part of the result. */
  readonly check?: boolean;
  /** Default 60,000. */
  readonly timeoutMs?: number;
}

/** The lab that this process runs in (`test/lab/lab run -- PROGRAM`): everything a test or the demo does to it. */
export class Lab {
  readonly dir: LabDir;
  /** `directors[0]` is director 1, at 192.0.2.11. */
  readonly directors: readonly DirectorVm[];
  readonly #vmNodes = new Map<string, NodeVm>();
  #operatorKubeconfig: Promise<string> | undefined;

  private constructor(dir: LabDir, directors: readonly DirectorVm[]) {
    this.dir = dir;
    this.directors = directors;
  }

  static attach(): Promise<Lab> {
    const dir = LabDir.current();
    return Promise.resolve(new Lab(dir, attachDirectors(dir)));
  }

  /** Ends this process's connections to the machines; the lab goes on. */
  close(): void {
    for (const machine of [...this.directors, ...this.#vmNodes.values()]) machine.close();
  }

  /** Runs kubectl. Where it has a bound of its own (`--timeout`), that comes first: it says what it waited for. */
  async kubectl(args: readonly string[], options: KubectlOptions = {}): Promise<ProgramResult> {
    const kubeconfig = options.as === 'operator' ? await this.operatorKubeconfig() : this.dir.kubeconfig('admin');
    const { input, timeoutMs = boundOf(args), check = true } = options;
    const result = await runProgram(CONTROLPLANE, ['kubectl', `--kubeconfig=${kubeconfig}`, ...args], {
      ...(input === undefined ? {} : { input }),
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    });
    if (check && result.code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${result.stderr.trim()}`);
    return result;
  }

  /** `kubectl apply` of YAML text, of one object or of several. */
  async apply(what: string | object | readonly object[]): Promise<void> {
    const list = Array.isArray(what) ? { apiVersion: 'v1', kind: 'List', items: what } : what;
    await this.kubectl(['apply', '-f', '-'], { input: typeof list === 'string' ? list : JSON.stringify(list) });
  }

  /** One object as JSON, `get('service', 'web')`; undefined when it does not exist. */
  async get<T>(kind: string, name: string, namespace = 'default'): Promise<T | undefined> {
    const args = ['get', kind, name, '-n', namespace, '-o', 'json', '--ignore-not-found'];
    const { stdout } = await this.kubectl(args);
    return stdout === '' ? undefined : (JSON.parse(stdout) as T);
  }

  /** Names of the nodes that run, in the order of their numbers. */
  nodes(): Promise<string[]> {
    return nodeNames(this.dir);
  }

  /** Adds a node (node3 gets 192.0.2.23, and so on) and waits until it is ready. */
  async addNode(name: string): Promise<void> {
    await startNode(this.dir, name);
    await waitForNode(this.dir, name, nodeAddresses(nodeNumber(name)).v4);
  }

  /** Takes a node out as an administrator would: drain, delete, switch off. */
  async removeNode(name: string): Promise<void> {
    const force = ['--ignore-daemonsets', '--delete-emptydir-data', '--force', '--timeout=60s'];
    await this.kubectl(['drain', name, ...force]);
    await this.kubectl(['delete', 'node', name]);
    this.#vmNodes.get(name)?.close();
    this.#vmNodes.delete(name);
    await stopNode(this.dir, name);
  }

  /** Cuts a node's power: nothing is drained, and its Node object stays. */
  async crashNode(name: string): Promise<void> {
    this.#vmNodes.get(name)?.close();
    this.#vmNodes.delete(name);
    await stopNode(this.dir, name);
  }

  /** The machine behind a node that is one, for its kernel's view; undefined when the node is a namespace. */
  vmNode(name: string): NodeVm | undefined {
    if (!isVmNode(this.dir, name)) return undefined;
    const known = this.#vmNodes.get(name) ?? NodeVm.attach(this.dir.vmNodes, name);
    this.#vmNodes.set(name, known);
    return known;
  }

  /** Runs a shell command as root on a node, which must succeed; its standard output. */
  async onNode(name: string, command: string): Promise<string> {
    const vm = this.vmNode(name);
    return vm === undefined
      ? await mustRun('ip', ['netns', 'exec', name, 'sh', '-c', command])
      : await vm.read(command);
  }

  /** `client` is spread over all directors by the router, `client-director-1` always goes through director 1. */
  client(name: ClientName): Client {
    const known = clientNames(this.directors.length);
    if (!known.includes(name)) throw new Error(`this lab has no ${name}; it has ${known.join(', ')}`);
    return new Client(name);
  }

  /** Cuts the director's network. Its number, or the machine itself. */
  async unplug(director: number | DirectorVm): Promise<void> {
    await setDirectorLink(this.#nameOf(director), 'down');
  }

  async replug(director: number | DirectorVm): Promise<void> {
    await setDirectorLink(this.#nameOf(director), 'up');
  }

  /** What a routing protocol would do: `client` is spread over exactly these directors from now on. */
  async routeVips(directors: readonly number[]): Promise<void> {
    await routeVips(directors);
  }

  /** The private key for the operator's Secret, as every director of the lab accepts it. */
  get operatorKeyFile(): string {
    return this.dir.operatorKey;
  }

  /** A kubeconfig with exactly the operator's ServiceAccount; config/default must have been applied. */
  operatorKubeconfig(): Promise<string> {
    this.#operatorKubeconfig ??= this.#writeOperatorKubeconfig();
    this.#operatorKubeconfig.catch(() => {
      this.#operatorKubeconfig = undefined;
    });
    return this.#operatorKubeconfig;
  }

  async #writeOperatorKubeconfig(): Promise<string> {
    const request = ['create', 'token', OPERATOR_NAME, '-n', OPERATOR_NAMESPACE, '--duration=24h'];
    const { stdout } = await this.kubectl(request);
    return await writeKubeconfig(this.dir, 'operator', stdout.trim());
  }

  /**
   * Runs `dist/ipvs-operator` as a process beside the control plane, and waits until it is ready. The Deployment of
   * config/default is scaled to 0 first, because the operator it runs would hold the Lease.
   */
  async startOperator(options: { readonly config?: object } = {}): Promise<OperatorProcess> {
    await this.stopDeployedOperator();
    const args = ['--kubeconfig', await this.operatorKubeconfig(), '--namespace', OPERATOR_NAMESPACE];
    if (options.config !== undefined) {
      const file = join(this.dir.path, 'operator-config.json');
      await writeFile(file, JSON.stringify(options.config));
      args.push('--config', file);
    }
    const operator = OperatorProcess.start({ args, logFile: this.dir.log('operator') });
    await operator.waitReady();
    return operator;
  }

  /** Scales the operator's Deployment to 0 and waits until its pods are gone. */
  async stopDeployedOperator(): Promise<void> {
    const scale = ['scale', 'deployment', OPERATOR_NAME, '-n', OPERATOR_NAMESPACE, '--replicas=0'];
    const { code, stderr } = await this.kubectl(scale, { check: false });
    if (code !== 0 && !stderr.includes('NotFound') && !stderr.includes('not found')) throw new Error(stderr.trim());
    await waitFor(
      'the deployed operator to end',
      async (see) => {
        const { stdout } = await this.kubectl(['get', 'pods', '-n', OPERATOR_NAMESPACE, '-o', 'name']);
        see(stdout);
        return stdout === '' ? true : undefined;
      },
      { timeoutMs: 60_000 },
    );
  }

  #nameOf(director: number | DirectorVm): string {
    return typeof director === 'number' ? directorName(director) : director.name;
  }
}

/** Milliseconds after which kubectl with these arguments hangs; undefined where they do not say how long it waits. */
function boundOf(args: readonly string[]): number | undefined {
  const seconds = args.flatMap((arg) => /^--timeout=(\d+)s$/.exec(arg)?.[1] ?? [])[0];
  return seconds === undefined ? undefined : (Number(seconds) + 30) * 1000;
}
