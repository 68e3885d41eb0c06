import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { ROUTER } from '../lab/addresses.ts';
import { mustRun } from '../lab/run-program.ts';
import type { DirectorVm } from '../lab/vm/director-vm.ts';
import { waitFor } from '../lab/wait-for.ts';

const SOURCE = fileURLToPath(new URL('./answering', import.meta.url));
const PROGRAM = fileURLToPath(new URL('../../.build/answering', import.meta.url));

/** A real server in a network namespace on the directors' segment. */
export interface RealServerHost {
  readonly name: string;
  readonly v4: string;
  readonly v6: string;
  /** Where its answers to clients go: the router (direct routing), or a director that has to translate them back. */
  readonly gateway: { readonly v4: string; readonly v6: string };
}

/** rs1 is 192.0.2.31 and 2001:db8:2::31, and so on. */
export function realServerHost(number: number, gateway: RealServerHost['gateway'] = ROUTER): RealServerHost {
  return { name: `rs${number}`, v4: `192.0.2.${30 + number}`, v6: `2001:db8:2::${30 + number}`, gateway };
}

/** Address and port as one word. */
export function endpoint(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Builds the program that answers; seconds the first time. */
export async function buildAnswering(): Promise<void> {
  const build = ['-C', SOURCE, 'build', '-trimpath', '-ldflags', '-s -w', '-o', PROGRAM];
  await mustRun('go', build, { timeoutMs: 300_000, env: { ...process.env, CGO_ENABLED: '0' } });
}

/** Makes the namespace and its link. */
export async function addRealServer(host: RealServerHost): Promise<void> {
  const inside = (...command: string[]) => mustRun('ip', ['netns', 'exec', host.name, ...command]);
  await mustRun('ip', ['netns', 'add', host.name]);
  // Every VIP is on lo of each of them: none may answer ARP for it, or use it as a source of its own questions.
  await inside('sysctl', '-qw', 'net.ipv4.conf.all.arp_ignore=1', 'net.ipv4.conf.all.arp_announce=2');
  await inside('sysctl', '-qw', 'net.ipv4.conf.all.rp_filter=0', 'net.ipv4.conf.default.rp_filter=0');
  await inside(
    'sysctl',
    '-qw',
    'net.ipv6.conf.all.accept_dad=0',
    'net.ipv6.conf.default.accept_dad=0',
    'net.ipv6.conf.default.accept_ra=0',
  );
  // The address of the link follows from that of the host: one that comes back is where its neighbours remember it.
  const mac = `02:00:5e:00:53:${(host.v4.split('.').at(-1) ?? '').padStart(2, '0')}`;
  const peer = ['peer', 'name', 'eth0', 'address', mac, 'netns', host.name];
  await mustRun('ip', ['link', 'add', host.name, 'type', 'veth', ...peer]);
  await mustRun('ip', ['link', 'set', host.name, 'master', 'lan', 'up']);
  await inside('ip', 'link', 'set', 'lo', 'up');
  await inside('ip', 'link', 'set', 'eth0', 'up');
  await inside('ip', 'address', 'add', `${host.v4}/24`, 'dev', 'eth0');
  await inside('ip', 'address', 'add', `${host.v6}/64`, 'dev', 'eth0', 'nodad');
  await inside('ip', 'route', 'add', 'default', 'via', host.gateway.v4);
  await inside('ip', '-6', 'route', 'add', 'default', 'via', host.gateway.v6);
}

/** Takes a namespace away, with all in it. */
export async function removeRealServer(host: RealServerHost): Promise<void> {
  await mustRun('ip', ['link', 'delete', host.name]);
  await mustRun('ip', ['netns', 'delete', host.name]);
}

/** Gives a VIP to the namespace's lo, as direct routing wants it. A prefix makes all addresses in it local. */
export async function addVip(namespace: string, vip: string): Promise<void> {
  const family = vip.includes(':') ? '-6' : '-4';
  const route = vip.includes('/');
  const words = route ? ['route', 'add', 'local', vip, 'dev', 'lo'] : ['address', 'add', vip, 'dev', 'lo'];
  await mustRun('ip', ['netns', 'exec', namespace, 'ip', family, ...words]);
}

/** Gives VIPs to a machine's lo. */
export async function addVipsIn(machine: DirectorVm, vips: readonly string[]): Promise<void> {
  await machine.read(vips.map((vip) => `ip address add ${hostPrefix(vip)} dev lo`).join(' && '));
}

export async function removeVipsIn(machine: DirectorVm, vips: readonly string[]): Promise<void> {
  await machine.read(vips.map((vip) => `ip address delete ${hostPrefix(vip)} dev lo`).join(' && '));
}

function hostPrefix(address: string): string {
  return `${address}/${address.includes(':') ? 128 : 32}`;
}

/** Starts the answering program in a namespace; returns when it listens on all endpoints (`tcp/[::]:80`, `udp/203.0.113.40:80`). */
export async function startAnswering(namespace: string, endpoints: readonly string[]): Promise<ChildProcess> {
  const child = spawn('ip', ['netns', 'exec', namespace, PROGRAM, namespace, ...endpoints], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint += text;
  });
  const ready = once(createInterface({ input: child.stdout }), 'line');
  const ended = once(child, 'close').then(() => {
    throw new Error(`answering in ${namespace} ended: ${complaint.trim()}`);
  });
  ended.catch(() => {});
  await Promise.race([ready, ended]);
  return child;
}

/** Brings the answering program into a machine and starts it there. It ends with the machine, or {@link stopAnsweringIn}. */
export async function startAnsweringIn(machine: DirectorVm, endpoints: readonly string[]): Promise<void> {
  await install(machine);
  const words = endpoints.map((endpoint) => `'${endpoint}'`).join(' ');
  await machine.read(
    `setsid /tmp/answering ${machine.name} ${words} </dev/null >/tmp/answering.log 2>&1 & echo $! >/tmp/answering.pid`,
  );
  await waitFor(
    `the answering program on ${machine.name}`,
    async (see) => {
      const log = (await machine.read('cat /tmp/answering.log')).trim();
      see(log);
      return log.startsWith('ready') ? true : undefined;
    },
    { timeoutMs: 30_000 },
  );
}

export async function stopAnsweringIn(machine: DirectorVm): Promise<void> {
  await machine.exec('kill "$(cat /tmp/answering.pid)"; rm -f /tmp/answering.pid');
}

/** There is no file transfer to the machines: they fetch it from the router, where this process runs. */
async function install(machine: DirectorVm): Promise<void> {
  const { code } = await machine.exec('test -x /tmp/answering');
  if (code === 0) return;
  const program = readFileSync(PROGRAM);
  const server = createServer((_, response) => response.end(program));
  await once(server.listen(0, ROUTER.v4), 'listening');
  try {
    const { port } = server.address() as AddressInfo;
    await machine.read(`wget -q -O /tmp/answering http://${ROUTER.v4}:${port}/ && chmod 755 /tmp/answering`);
  } finally {
    server.close();
    server.closeAllConnections();
  }
}
