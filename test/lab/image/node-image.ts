import { readdir, readFile, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { filesOfProgram, tree } from './base-image.ts';
import type { ArchiveEntry } from './cpio.ts';
import type { Program } from './run-command.ts';

/** Programs that kube-proxy runs, besides those of the base image. */
const NODE_PROGRAMS: readonly Program[] = [
  { name: 'xtables-nft-multi', package: 'iptables' },
  { name: 'ipset', package: 'ipset' },
  { name: 'conntrack', package: 'conntrack' },
];

const IPTABLES_NAMES = ['iptables', 'ip6tables'].flatMap((name) => [name, `${name}-save`, `${name}-restore`]);
/** Where Debian's iptables looks for its extensions; compiled into it. */
const XTABLES = '/usr/lib/x86_64-linux-gnu/xtables';

/** The files of this machine that a node has besides the base image's: paths in the guest to paths here. */
export async function nodeFiles(): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for (const program of NODE_PROGRAMS)
    for (const [guestPath, path] of await filesOfProgram(program)) files.set(guestPath, path);
  for (const name of await readdir(XTABLES))
    if (name.endsWith('.so')) files.set(join(XTABLES, name).slice(1), await realpath(join(XTABLES, name)));
  return files;
}

/**
 * What stands behind the base image in a node's initramfs: kube-proxy's programs, and the modules of directors and nodes together,
 * because their dependency files replace those of the base image.
 */
export async function nodeImage(files: ReadonlyMap<string, string>, modules: string): Promise<ArchiveEntry[]> {
  const entries: ArchiveEntry[] = IPTABLES_NAMES.map((name) => ({
    kind: 'symlink',
    path: `usr/sbin/${name}`,
    target: 'xtables-nft-multi',
  }));
  for (const [path, source] of files) entries.push({ kind: 'file', path, mode: 0o755, data: await readFile(source) });
  return [...entries, ...(await tree(modules, 'lib/modules'))];
}
