import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ApiConnection } from '../../bench/api-connection.ts';
import { type ControlPlane, startControlPlane } from '../control-plane.ts';
import { builtHelper } from '../ssh/contract-subjects.ts';
import { generateKey } from '../ssh/keys.ts';
import { type OpenSshHost, startOpenSshHost } from '../ssh/open-ssh-host.ts';
import { ApiRequests } from './api-requests.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const NAMESPACE = 'ipvs-system';
const GROUP = 'ipvs-operator.io/v1alpha1';
/** Room for 65,536 VIPs in a range that nothing routes. */
const VIPS = '198.18.0.0/17';

/**
 * The whole product on real parts, without a network of its own: etcd and kube-apiserver, the operator's own process, and two directors, each
 * the real helper behind a real sshd. Only the directors' kernels are tables in memory, which live as long as a session.
 */
export class RunningSite {
  readonly plane: ControlPlane;
  /** For what a user does. */
  readonly api: ApiConnection;
  /** What the operator has asked of the API server. */
  readonly requests: ApiRequests;
  readonly #directory: string;
  readonly #directors: readonly OpenSshHost[];
  readonly #log: string[] = [];
  #operator: ChildProcess | undefined;

  private constructor(plane: ControlPlane, directory: string, directors: readonly OpenSshHost[]) {
    this.plane = plane;
    this.#directory = directory;
    this.#directors = directors;
    this.api = new ApiConnection(plane.kubeconfig);
    this.requests = new ApiRequests(plane.auditLog ?? '', 'ipvs-operator/');
  }

  /** Everything but the operator runs, and pool `web` selects both directors. */
  static async open(): Promise<RunningSite> {
    const directory = mkdtempSync(join(tmpdir(), 'running-site-'));
    const key = generateKey();
    const plane = await startControlPlane({ audited: true });
    const directors = await Promise.all(
      ['lb-1', 'lb-2'].map((name) => startDirector(join(directory, name), key.publicLine)),
    );
    const site = new RunningSite(plane, directory, directors);
    await plane.kubectl(['apply', '-k', join(ROOT, 'crds')]);
    await plane.kubectl(['wait', '--for=condition=Established', 'crd', '--all']);
    await plane.kubectl(
      ['apply', '-f', '-'],
      JSON.stringify({ apiVersion: 'v1', kind: 'List', items: site.#objects(key.privateKey) }),
    );
    return site;
  }

  /** Starts the operator; it may not be ready when this returns. */
  startOperator(): void {
    const settings = join(this.#directory, 'operator.json');
    writeFileSync(settings, JSON.stringify({ logLevel: 'warn', health: { host: '127.0.0.1', port: 0 } }));
    const main = join(ROOT, 'operator/main.ts');
    const flags = ['--kubeconfig', this.plane.kubeconfig, '--namespace', NAMESPACE, '--config', settings];
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', process.execPath, main, ...flags], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => this.#log.push(text));
    }
    this.#operator = child;
  }

  /** SIGTERM, and waits for its end. */
  async stopOperator(): Promise<void> {
    const child = this.#operator;
    this.#operator = undefined;
    if (child === undefined || child.exitCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await ended;
  }

  /** What the operator has said on stdout and stderr. */
  log(): string {
    return this.#log.join('');
  }

  /** Most memory that the operator's process has had resident, in MiB. */
  peakMemory(): number {
    const status = readFileSync(`/proc/${this.#operator?.pid}/status`, 'utf8');
    return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1_024;
  }

  /** Processor time that the operator's process has taken, in milliseconds: utime and stime of proc_pid_stat(5), in ticks of 10 ms. */
  processorTime(): number {
    const stat = readFileSync(`/proc/${this.#operator?.pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return 10 * (Number(fields[11]) + Number(fields[12]));
  }

  /** A director's host stands still, or goes on. */
  signalDirector(index: number, signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#directors[index]?.signal(signal);
  }

  async close(): Promise<void> {
    await this.stopOperator();
    await this.api.close();
    await Promise.all(this.#directors.map((director) => director.stop()));
    await this.plane.stop();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #objects(privateKey: string): object[] {
    const data = { 'ssh-privatekey': Buffer.from(privateKey).toString('base64') };
    const nodes = ['192.0.2.21', '192.0.2.22'].map((address, index) => ({
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: `node-${index + 1}` },
      status: { addresses: [{ type: 'InternalIP', address }], conditions: [{ type: 'Ready', status: 'True' }] },
    }));
    return [
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } },
      {
        apiVersion: 'v1',
        kind: 'Secret',
        type: 'kubernetes.io/ssh-auth',
        metadata: { name: 'director-ssh', namespace: NAMESPACE },
        data,
      },
      ...nodes,
      ...this.#directors.map(({ port, user, hostKeys }, index) => ({
        apiVersion: GROUP,
        kind: 'Director',
        metadata: { name: `lb-${index + 1}` },
        spec: {
          address: '127.0.0.1',
          port,
          user,
          hostKeys,
          credentials: { secretName: 'director-ssh' },
          interface: 'lo',
          tableOwner: 'prod',
        },
      })),
      {
        apiVersion: GROUP,
        kind: 'LoadBalancerPool',
        metadata: { name: 'web' },
        spec: { addresses: [VIPS], directors: { selector: {} } },
      },
    ];
  }
}

async function startDirector(directory: string, publicLine: string): Promise<OpenSshHost> {
  const state = join(directory, 'state');
  mkdirSync(state, { recursive: true });
  const policy = join(directory, 'policy.json');
  const grant = { virtualServers: [VIPS], realServers: ['192.0.2.0/24'], interfaces: ['lo'] };
  writeFileSync(policy, JSON.stringify({ owners: { prod: grant } }));
  const command = `${builtHelper()} serve --owner prod --policy ${policy} --state-dir ${state} --fake-kernel`;
  return startOpenSshHost({ command, clientKey: { privateKey: '', publicLine } });
}
