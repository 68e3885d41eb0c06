import { existsSync } from 'node:fs';
import { copyFile, mkdir, readFile, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { DebianKernel } from './debian-kernel.ts';
import { runCommand } from './run-command.ts';

const DEPMOD = { name: 'depmod', package: 'kmod' };
const XZ = { name: 'xz', package: 'xz-utils' };
const ZSTD = { name: 'zstd', package: 'zstd' };

/**
 * What a director may need, as patterns over whole module names; dependencies are added. A module that this kernel has built in
 * needs no file.
 */
export const DIRECTOR_MODULES: readonly RegExp[] = [
  /virtio_(pci|net|console|rng|blk)/,
  /ip_vs(_\w+)?/,
  /nf_conntrack(_netlink)?/,
  /nf_nat/,
  /nf_tables/,
  /nft_(chain_nat|ct|nat|masq|redir|reject|reject_inet|reject_ipv4|reject_ipv6|log|limit|hash|numgen|fib|fib_inet)/,
  /nf_log_syslog/,
  /dummy/,
  /veth/,
  /ipip/,
  /ip6_tunnel/,
  /fou6?/,
  /(ip_|ip6_)?gre/,
  /sch_netem/,
  // Real servers: SCTP, and the end of a tunnel that brings IPv6 over IPv4. A director needs none of it.
  /sctp/,
  /sit/,
];

/** What a cluster node needs besides: kube-proxy in its three modes (iptables through nf_tables). */
export const NODE_MODULES: readonly RegExp[] = [
  /nft_compat/,
  /ip_set(_(hash|bitmap)_\w+)?/,
  /xt_(set|comment|conntrack|mark|MASQUERADE|addrtype|nat|statistic|tcpudp|multiport|recent|REDIRECT|physdev|ipvs|LOG|limit)/,
  /(ipt|ip6t)_REJECT/,
  // A netlink family that the kubelet stand-in's library opens along with the others.
  /xfrm_user/,
  /br_netfilter/,
];

/**
 * Copies the modules that the patterns name, with all they depend on, uncompressed, to `target/lib/modules/<release>`, and makes
 * the dependency files there, so that modprobe and the kernel's own module loading work in the guest as on an installed system.
 */
export async function pickModules(kernel: DebianKernel, patterns: readonly RegExp[], target: string): Promise<number> {
  const from = join(kernel.root, 'lib/modules', kernel.release);
  const to = join(target, 'lib/modules', kernel.release);
  await rm(target, { recursive: true, force: true });
  await mkdir(to, { recursive: true });
  await runCommand(DEPMOD, ['-b', kernel.root, kernel.release]);
  const dependencies = parseDependencies(await readFile(join(from, 'modules.dep'), 'utf8'));
  const builtIn = (await readFile(join(from, 'modules.builtin'), 'utf8')).split('\n').filter((line) => line !== '');
  const files = closure(dependencies, builtIn, patterns, kernel.release);
  for (const file of files) await copyUncompressed(join(from, file), join(to, file.replace(/\.(xz|zst)$/, '')));
  for (const list of ['modules.builtin', 'modules.builtin.modinfo', 'modules.order'])
    if (existsSync(join(from, list))) await copyFile(join(from, list), join(to, list));
  await runCommand(DEPMOD, ['-b', target, kernel.release]);
  return files.length;
}

function parseDependencies(text: string): Map<string, string[]> {
  const lines = text.split('\n').filter((line) => line.includes(':'));
  return new Map(
    lines.map((line) => {
      const [file = '', needs = ''] = line.split(':');
      return [file, needs.split(' ').filter((need) => need !== '')];
    }),
  );
}

/** modules.dep lists for every module all that it needs, directly or not, so one step is the closure. */
function closure(
  dependencies: ReadonlyMap<string, readonly string[]>,
  builtIn: readonly string[],
  patterns: readonly RegExp[],
  release: string,
): string[] {
  const picked = new Set<string>();
  for (const pattern of patterns) {
    const whole = new RegExp(`^(${pattern.source})$`);
    const files = [...dependencies.keys()].filter((file) => whole.test(moduleName(file)));
    if (files.length === 0 && !builtIn.some((file) => whole.test(moduleName(file))))
      throw new Error(`kernel ${release} has no module like ${pattern.source}, neither as a file nor built in`);
    for (const file of files) for (const needed of [...(dependencies.get(file) ?? []), file]) picked.add(needed);
  }
  return [...picked].sort();
}

function moduleName(file: string): string {
  return basename(file)
    .replace(/\.ko(\.(xz|zst))?$/, '')
    .replaceAll('-', '_');
}

async function copyUncompressed(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  const copy = from.endsWith('.ko') ? to : `${to}${from.slice(from.lastIndexOf('.'))}`;
  await copyFile(from, copy);
  if (from.endsWith('.xz')) await runCommand(XZ, ['-d', '-f', copy]);
  if (from.endsWith('.zst')) await runCommand(ZSTD, ['-d', '-q', '-f', '--rm', copy]);
}
