/**
 * The life of one director, for director-vm.test.ts: boots it, looks at it from outside and inside, resets it, freezes it, switches it
 * off and on. Runs in a network of its own and writes what it saw as JSON. Arguments: kernel series, directory for files.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DIRECTOR_USER } from '../../lab/image/base-image.ts';
import type { KernelSeries } from '../../lab/image/debian-kernel.ts';
import { ed25519KeyPair } from '../../lab/ssh-key.ts';
import { DirectorVm } from '../../lab/vm/director-vm.ts';
import { DIRECTOR, directorNetwork, ROUTER } from './director-network.ts';

/** What was seen; every value as the director's own programs print it. */
export type Seen = Awaited<ReturnType<typeof live>>;

async function live(kernel: KernelSeries, workDir: string) {
  directorNetwork();
  const key = ed25519KeyPair('operator');
  writeFileSync(join(workDir, 'operator-key'), key.private, { mode: 0o600 });
  const director = await start(kernel, workDir, key.public);
  const setUp = await look(director);
  const operator = await operatorSession(director, workDir);
  const life = await throughLife(director, workDir);
  await director.stop();
  return { ...setUp, ...operator, ...life };
}

async function start(kernel: KernelSeries, workDir: string, operatorPublicKey: string): Promise<DirectorVm> {
  return DirectorVm.start({
    ...{ name: 'director-1', kernel, tap: 'director-1', workDir, operatorPublicKey },
    ...{ address4: `${DIRECTOR}/24`, gateway4: ROUTER, address6: '2001:db8::11/64', gateway6: '2001:db8::1' },
    blackholes: ['203.0.113.0/24', '2001:db8:1::/64'],
    policy: { owners: {} },
    extraFiles: [{ path: '/etc/extra', contents: 'from the test\n', mode: 0o600 }],
  });
}

async function look(director: DirectorVm) {
  const sysctls = [
    ...['net.ipv4.ip_forward', 'net.ipv6.conf.all.forwarding', 'net.ipv4.conf.eth0.accept_local'],
    ...['net.ipv4.vs.expire_nodest_conn', 'net.ipv4.vs.expire_quiescent_template', 'net.ipv4.vs.sloppy_tcp'],
  ];
  const zeros = ['net.ipv4.conf.all.rp_filter', 'net.ipv4.conf.eth0.rp_filter', 'net.ipv4.conf.eth0.send_redirects'];
  return {
    release: (await director.read('uname -r')).trim(),
    ones: await director.read(`sysctl -n ${sysctls.join(' ')}`),
    zeros: await director.read(`sysctl -n ${zeros.join(' ')}`),
    addresses: await director.addresses('eth0'),
    blackholes: await director.read('ip route show type blackhole; ip -6 route show type blackhole'),
    defaultRoutes: await director.read('ip route show default; ip -6 route show default'),
    owners: await director.read('stat -c "%U %a %n" / /run/ipvs-operator /etc/ipvs-operator/policy.json /etc/extra'),
    capabilities: (await director.read('getcap /usr/lib/ipvs-operator/ipvs-helper')).trim(),
    failing: await director.exec('echo out; echo err >&2; exit 3'),
  };
}

/** Logs in as the operator does, asks for a shell, and looks from the inside at what was started instead. */
async function operatorSession(director: DirectorVm, workDir: string) {
  const options = ['BatchMode=yes', 'StrictHostKeyChecking=yes', 'IdentitiesOnly=yes'].flatMap((option) => [
    '-o',
    option,
  ]);
  const files = [
    '-i',
    join(workDir, 'operator-key'),
    '-o',
    `UserKnownHostsFile=${join(workDir, 'director-1.known_hosts')}`,
  ];
  const ssh = spawn('ssh', ['-F', 'none', ...options, ...files, `${DIRECTOR_USER.name}@${DIRECTOR}`, 'sh', '-i'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const [hello] = (await once(ssh.stdout, 'data')) as [Buffer];
  const process = await director.read(
    'p=$(pidof ipvs-helper); tr "\\0" " " </proc/$p/cmdline; echo; grep -E "^(Uid|CapEff)" /proc/$p/status',
  );
  ssh.stdin.end();
  await once(ssh, 'close');
  return { hello: JSON.parse(hello.subarray(4).toString()) as Record<string, unknown>, process };
}

async function throughLife(director: DirectorVm, workDir: string) {
  const bootId = async () => (await director.read('cat /proc/sys/kernel/random/boot_id')).trim();
  const add = () => director.read('ipvsadm -A -t 203.0.113.10:80 -s rr');
  const other = DirectorVm.attach(workDir, 'director-1');
  const first = await bootId();
  await add();
  const before = await director.virtualServers();
  await director.reboot();
  const afterReset = { boot: await bootId(), table: await other.virtualServers() };
  await other.freeze();
  const whileFrozen = await failure(director.exec('true', { timeoutMs: 2_000 }));
  await director.thaw();
  const afterThaw = await bootId();
  await director.powerOff();
  const whileOff = await failure(other.exec('true', { timeoutMs: 2_000 }));
  await other.powerOn();
  const afterPower = { boot: await bootId(), hostKey: other.hostKey === director.hostKey };
  other.close();
  return { first, before, afterReset, whileFrozen, afterThaw, whileOff, afterPower };
}

function failure(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'it answered',
    (error: Error) => error.message,
  );
}

const [kernel = '', workDir = ''] = process.argv.slice(2);
mkdirSync(workDir, { recursive: true });
const seen = JSON.stringify(await live(kernel as KernelSeries, workDir));
process.stdout.write(seen);
