import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { createServer } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** A real etcd and kube-apiserver on loopback, for the life of one test file. */
export interface ControlPlane {
  /** Path of a kubeconfig for a cluster administrator (group system:masters). */
  readonly kubeconfig: string;
  /** `https://127.0.0.1:port`. */
  readonly server: string;
  /** PEM of the certificate that signs the API server's own. */
  readonly ca: string;
  /** Requests that the API server has answered, one line of JSON each (audit.k8s.io/v1 Event); undefined without auditing. */
  readonly auditLog: string | undefined;
  /** Runs kubectl as the administrator; rejects with its stderr when it fails. */
  kubectl(args: readonly string[], stdin?: string): Promise<string>;
  /** Writes a kubeconfig that authenticates with a token, e.g. one made by `kubectl create token`. */
  kubeconfigFor(token: string): string;
  /** Ends both processes and removes their files. Safe to call twice. */
  stop(): Promise<void>;
}

export interface ControlPlaneOptions {
  /** The API server writes down every request. */
  readonly audited?: boolean;
}

/** From which the API server takes cluster IPs; none of them is ever a VIP. */
export const SERVICE_RANGE = '198.18.128.0/17';
const BINARY = new URL('../../.build/controlplane', import.meta.url).pathname;
const READY_WITHIN_MS = 90_000;

/**
 * Starts etcd and kube-apiserver on free loopback ports. Both die with this process, however it ends (parent death
 * signal), so an interrupted test run leaves nothing behind. Throws, with the end of the server's log, when the API is not
 * ready within 90 s.
 */
export async function startControlPlane({ audited = false }: ControlPlaneOptions = {}): Promise<ControlPlane> {
  if (!existsSync(BINARY)) throw new Error(`${BINARY} does not exist: build the test control plane first (make build)`);
  raiseLoopback();
  const directory = mkdtempSync(join(tmpdir(), 'control-plane-'));
  const [etcdPort, etcdPeerPort, apiPort] = await freePorts(3);
  const adminToken = randomBytes(16).toString('hex');
  const children: ChildProcess[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(children.map(end));
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    writeServiceAccountKey(directory);
    writeFileSync(join(directory, 'tokens.csv'), `${adminToken},admin,admin,system:masters\n`, { mode: 0o600 });
    children.push(run(directory, 'etcd', etcdFlags(directory, Number(etcdPort), Number(etcdPeerPort))));
    const flags = apiServerFlags(directory, Number(etcdPort), Number(apiPort));
    const api = run(directory, 'kube-apiserver', audited ? [...flags, ...auditFlags(directory)] : flags);
    children.push(api);
    await untilReady(directory, api, Number(apiPort), adminToken);
  } catch (cause) {
    await stop();
    throw cause;
  }
  const server = `https://127.0.0.1:${apiPort}`;
  const ca = readFileSync(join(directory, 'certs', 'apiserver.crt'), 'utf8');
  let count = 0;
  const kubeconfigFor = (token: string): string => {
    const path = join(directory, `kubeconfig-${count++}`);
    writeFileSync(path, kubeconfigText(server, ca, token), { mode: 0o600 });
    return path;
  };
  const kubeconfig = kubeconfigFor(adminToken);
  const kubectl = (args: readonly string[], stdin?: string): Promise<string> => runKubectl(kubeconfig, args, stdin);
  const auditLog = audited ? join(directory, AUDIT_LOG) : undefined;
  return { kubeconfig, server, ca, auditLog, kubectl, kubeconfigFor, stop };
}

const AUDIT_LOG = 'audit.log';

function auditFlags(directory: string): string[] {
  const policy = join(directory, 'audit-policy.json');
  const rules = [{ level: 'Metadata', omitStages: ['RequestReceived', 'ResponseStarted'] }];
  writeFileSync(policy, JSON.stringify({ apiVersion: 'audit.k8s.io/v1', kind: 'Policy', rules }));
  return [
    `--audit-policy-file=${policy}`,
    `--audit-log-path=${join(directory, AUDIT_LOG)}`,
    '--audit-log-maxsize=2000',
  ];
}

function etcdFlags(directory: string, clientPort: number, peerPort: number): string[] {
  const client = `http://127.0.0.1:${clientPort}`;
  const peer = `http://127.0.0.1:${peerPort}`;
  return [
    `--data-dir=${join(directory, 'etcd')}`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=default=${peer}`,
    '--unsafe-no-fsync',
    '--log-level=warn',
  ];
}

function apiServerFlags(directory: string, etcdPort: number, port: number): string[] {
  const key = join(directory, 'service-account.key');
  return [
    `--etcd-servers=http://127.0.0.1:${etcdPort}`,
    `--cert-dir=${join(directory, 'certs')}`,
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${key}`,
    `--service-account-signing-key-file=${key}`,
    `--service-cluster-ip-range=${SERVICE_RANGE}`,
    `--token-auth-file=${join(directory, 'tokens.csv')}`,
    '--authorization-mode=RBAC',
    '--bind-address=127.0.0.1',
    '--advertise-address=127.0.0.1',
    // A loopback address is no valid endpoint of the `kubernetes` Service; nobody here looks for one.
    '--endpoint-reconciler-type=none',
    `--secure-port=${port}`,
    '--allow-privileged',
  ];
}

/** Starts one role of the control plane binary; setpriv makes the kernel kill it when this process dies. */
function run(directory: string, role: string, flags: readonly string[]): ChildProcess {
  const log = openSync(join(directory, `${role}.log`), 'a');
  return spawn('setpriv', ['--pdeathsig', 'KILL', '--', BINARY, role, ...flags], {
    stdio: ['ignore', log, log],
    cwd: directory,
  });
}

async function untilReady(directory: string, api: ChildProcess, port: number, token: string): Promise<void> {
  const deadline = Date.now() + READY_WITHIN_MS;
  while (Date.now() < deadline) {
    if (api.exitCode !== null) break;
    if (await answersReady(port, token)) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const log = readFileSync(join(directory, 'kube-apiserver.log'), 'utf8');
  throw new Error(
    `kube-apiserver was not ready within ${READY_WITHIN_MS} ms; the end of its log:\n${log.slice(-3000)}`,
  );
}

function answersReady(port: number, token: string): Promise<boolean> {
  return new Promise((resolve) => {
    const options = { host: '127.0.0.1', port, path: '/readyz', timeout: 1000, rejectUnauthorized: false };
    const probe = request({ ...options, headers: { authorization: `Bearer ${token}` } }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    probe.on('error', () => resolve(false));
    probe.on('timeout', () => probe.destroy(new Error('timeout')));
    probe.end();
  });
}

function kubeconfigText(server: string, ca: string, token: string): string {
  const cluster = { server, 'certificate-authority-data': Buffer.from(ca).toString('base64') };
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster }],
    users: [{ name: 'test', user: { token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
    'current-context': 'test',
  });
}

async function runKubectl(kubeconfig: string, args: readonly string[], stdin?: string): Promise<string> {
  const options = { maxBuffer: 64 << 20, timeout: 60_000 };
  const promise = promisify(execFile)(BINARY, ['kubectl', `--kubeconfig=${kubeconfig}`, ...args], options);
  if (stdin !== undefined) promise.child.stdin?.end(stdin);
  return (await promise).stdout;
}

function writeServiceAccountKey(directory: string): void {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const pem = privateKey.export({ type: 'sec1', format: 'pem' });
  writeFileSync(join(directory, 'service-account.key'), pem, { mode: 0o600 });
}

/** In a network namespace of its own the loopback interface is down at first. */
function raiseLoopback(): void {
  if (networkInterfaces().lo === undefined) execFileSync('ip', ['link', 'set', 'lo', 'up']);
}

/** Ports that were free a moment ago, all different. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await ended;
}
