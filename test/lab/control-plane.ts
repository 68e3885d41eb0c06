import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { API_SERVER, CLUSTER_RANGES, CONTROL_PLANE, SERVICE_RANGES } from './addresses.ts';
import { CONTROLPLANE, type LabDir, OPERATOR } from './lab-dir.ts';
import { runProgram } from './run-program.ts';
import { waitFor } from './wait-for.ts';

/** Users of the API server besides service accounts, and their groups. Each gets a token and a kubeconfig. */
const USERS = {
  admin: 'system:masters',
  kubelet: 'system:masters',
  'controller-manager': 'system:masters',
  // The two have their rights from the roles that every cluster is born with.
  scheduler: '',
  proxy: '',
} as const;

const USER_NAMES: Partial<Record<keyof typeof USERS, string>> = {
  scheduler: 'system:kube-scheduler',
  proxy: 'system:kube-proxy',
};

/** What images of pods are on this machine; see controlplane/kubelet/images.go. A virtual machine lacks what the operator needs. */
export const IMAGES = {
  agnhost: { entrypoint: [CONTROLPLANE], args: ['netexec'] },
  netexec: { entrypoint: [CONTROLPLANE, 'netexec'], args: [] },
  'ipvs-operator': { entrypoint: [OPERATOR], args: [] },
};

/**
 * Starts a Kubernetes control plane in the namespace `cp` and the kubelet stand-in beside it, and returns when the API
 * server answers. Everything else finds it through the kubeconfig files of the lab directory.
 */
export async function startControlPlane(dir: LabDir): Promise<void> {
  await Promise.all([dir.logs, dir.certificates, dir.nodes, dir.bin].map((path) => mkdir(path, { recursive: true })));
  await writeFile(join(dir.path, 'images.json'), JSON.stringify(IMAGES));
  const tokens = await writeTokens(dir);
  await writeServiceAccountKeys(dir);
  inControlPlane(dir, 'etcd', etcdArguments(dir));
  inControlPlane(dir, 'kube-apiserver', apiServerArguments(dir));
  await waitForApiServer(dir);
  await writeKubeconfigs(dir, tokens);
  inControlPlane(dir, 'kube-controller-manager', controllerManagerArguments(dir));
  inControlPlane(dir, 'kube-scheduler', [
    ...['kubeconfig', 'authentication-kubeconfig', 'authorization-kubeconfig'].map(
      (flag) => `--${flag}=${dir.kubeconfig('scheduler')}`,
    ),
    '--leader-elect=false',
  ]);
  startKubelet(dir);
}

function etcdArguments(dir: LabDir): string[] {
  return [
    `--data-dir=${join(dir.path, 'etcd')}`,
    '--unsafe-no-fsync',
    '--listen-client-urls=http://127.0.0.1:2379',
    '--advertise-client-urls=http://127.0.0.1:2379',
    '--listen-peer-urls=http://127.0.0.1:2380',
    '--log-level=warn',
  ];
}

function apiServerArguments(dir: LabDir): string[] {
  return [
    '--etcd-servers=http://127.0.0.1:2379',
    `--cert-dir=${dir.certificates}`,
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${join(dir.certificates, 'service-account.pub')}`,
    `--service-account-signing-key-file=${join(dir.certificates, 'service-account.key')}`,
    `--service-cluster-ip-range=${SERVICE_RANGES.v4},${SERVICE_RANGES.v6}`,
    `--token-auth-file=${join(dir.path, 'tokens.csv')}`,
    '--authorization-mode=RBAC',
    `--bind-address=${CONTROL_PLANE.v4}`,
    `--advertise-address=${CONTROL_PLANE.v4}`,
    '--secure-port=6443',
    '--allow-privileged',
    // There is no name service for the names of nodes.
    '--kubelet-preferred-address-types=InternalIP',
  ];
}

function controllerManagerArguments(dir: LabDir): string[] {
  return [
    `--kubeconfig=${dir.kubeconfig('controller-manager')}`,
    '--leader-elect=false',
    `--service-account-private-key-file=${join(dir.certificates, 'service-account.key')}`,
    `--root-ca-file=${certificateFile(dir)}`,
    // Each node's pod ranges are in its description; nothing is allocated.
    '--controllers=*,-nodeipam',
    `--cluster-cidr=${CLUSTER_RANGES.v4},${CLUSTER_RANGES.v6}`,
  ];
}

function startKubelet(dir: LabDir): void {
  // Not in `cp`: it looks after the namespaces of all nodes, and reaches pods through the router for its probes.
  startInBackground(dir, 'kubelet-standin', CONTROLPLANE, [
    'kubelet-standin',
    `--kubeconfig=${dir.kubeconfig('kubelet')}`,
    `--proxy-kubeconfig=${dir.kubeconfig('proxy')}`,
    `--nodes=${dir.nodes}`,
    `--run-dir=${dir.path}`,
    `--images=${join(dir.path, 'images.json')}`,
  ]);
}

function inControlPlane(dir: LabDir, program: string, args: readonly string[]): ChildProcess {
  return startInBackground(dir, program, 'ip', ['netns', 'exec', 'cp', CONTROLPLANE, program, ...args]);
}

/** Starts a part of the lab; when it ends by itself, the lab is broken and says so. */
function startInBackground(dir: LabDir, name: string, program: string, args: readonly string[]): ChildProcess {
  const log = openSync(dir.log(name), 'a');
  const child = spawn(program, args, { stdio: ['ignore', log, log] });
  closeSync(log);
  child.on('exit', (code, signal) => {
    console.error(`lab: ${name} ended (${signal ?? code}); its log is ${dir.log(name)}`);
  });
  return child;
}

/** The API server makes itself a certificate and a CA for it; both are in this file. */
function certificateFile(dir: LabDir): string {
  return join(dir.certificates, 'apiserver.crt');
}

async function writeServiceAccountKeys(dir: LabDir): Promise<void> {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  await writeFile(join(dir.certificates, 'service-account.key'), privateKey, { mode: 0o600 });
  await writeFile(join(dir.certificates, 'service-account.pub'), publicKey);
}

async function writeTokens(dir: LabDir): Promise<Map<string, string>> {
  const tokens = new Map<string, string>();
  const lines: string[] = [];
  for (const [user, group] of Object.entries(USERS)) {
    const token = randomBytes(16).toString('hex');
    tokens.set(user, token);
    lines.push(`${token},${USER_NAMES[user as keyof typeof USERS] ?? user},${user},"${group}"\n`);
  }
  await writeFile(join(dir.path, 'tokens.csv'), lines.join(''), { mode: 0o600 });
  return tokens;
}

async function writeKubeconfigs(dir: LabDir, tokens: ReadonlyMap<string, string>): Promise<void> {
  for (const [user, token] of tokens) await writeKubeconfig(dir, user, token);
}

/** Writes the kubeconfig of a user who proves itself by a token, and returns its path. */
export async function writeKubeconfig(dir: LabDir, user: string, token: string): Promise<string> {
  const authority = (await readFile(certificateFile(dir))).toString('base64');
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'lab', cluster: { server: API_SERVER, 'certificate-authority-data': authority } }],
    users: [{ name: user, user: { token } }],
    contexts: [{ name: 'lab', context: { cluster: 'lab', user } }],
    'current-context': 'lab',
  };
  const file = dir.kubeconfig(user);
  await writeFile(file, JSON.stringify(config, null, 2), { mode: 0o600 });
  return file;
}

async function waitForApiServer(dir: LabDir): Promise<void> {
  await waitFor(
    `the API server to be ready (log: ${dir.log('kube-apiserver')})`,
    async (see) => {
      const probe = ['-sS', '--max-time', '2', '--cacert', certificateFile(dir), `${API_SERVER}/readyz`];
      const { stdout, stderr } = await runProgram('curl', probe);
      see(stderr || stdout);
      return stdout === 'ok' ? true : undefined;
    },
    { timeoutMs: 60_000 },
  );
}
