import { existsSync } from 'node:fs';
import { readdir, readFile, realpath } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ArchiveEntry } from './cpio.ts';
import { type Program, runCommand } from './run-command.ts';

/** Programs of this machine that every virtual machine of the lab carries, with the Debian packages they come from. */
export const GUEST_PROGRAMS: readonly Program[] = [
  { name: 'sshd', package: 'openssh-server' },
  { name: 'ip', package: 'iproute2' },
  { name: 'tc', package: 'iproute2' },
  { name: 'nft', package: 'nftables' },
  { name: 'ipvsadm', package: 'ipvsadm' },
  { name: 'setcap', package: 'libcap2-bin' },
  { name: 'getcap', package: 'libcap2-bin' },
];

// busybox's own shell would prefer its own applets to the programs above (`ip -br` is not known to busybox's ip).
const SHELL: Program = { name: 'dash', package: 'dash' };
const BUSYBOX = { path: '/bin/busybox', package: 'busybox-static' };
const SSHD_SESSION = '/usr/lib/openssh/sshd-session';
const LDD = { name: 'ldd', package: 'libc-bin' };
const GUEST_FILES = fileURLToPath(new URL('./guest/', import.meta.url));
const PROGRAM_DIRECTORIES = ['/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** The user that the operator logs in as on a director: no root, a plain shell, one forced command. */
export const DIRECTOR_USER = { name: 'ipvs-operator', id: 1000 } as const;

const PASSWD = `root:x:0:0:root:/root:/bin/sh
sshd:x:100:65534:privilege separation:/run/sshd:/bin/false
${DIRECTOR_USER.name}:x:${DIRECTOR_USER.id}:${DIRECTOR_USER.id}:director:/home/${DIRECTOR_USER.name}:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/false
`;
const GROUP = `root:x:0:\n${DIRECTOR_USER.name}:x:${DIRECTOR_USER.id}:\nnogroup:x:65534:\n`;
// "*" means: no password fits, but the account is not locked ("!" would make sshd refuse the key as well).
const SHADOW = `root:*:19000::::::\nsshd:*:19000::::::\n${DIRECTOR_USER.name}:*:19000::::::\n`;

/** The files of this machine that go into the base image, all resolved: paths in the guest to paths here. */
export async function hostFiles(): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  const add = async (guestPath: string, path: string) => {
    for (const [name, source] of await withLibraries(guestPath, path)) files.set(name, source);
  };
  for (const program of GUEST_PROGRAMS) await add(`usr/sbin/${program.name}`, programPath(program));
  await add('bin/sh', programPath(SHELL));
  // From OpenSSH 9.8 on, sshd is split into several programs.
  if (existsSync(SSHD_SESSION)) await add(SSHD_SESSION.slice(1), SSHD_SESSION);
  if (!existsSync(BUSYBOX.path))
    throw new Error(`${BUSYBOX.path} is missing: install the Debian package ${BUSYBOX.package}`);
  files.set('bin/busybox', BUSYBOX.path);
  return files;
}

/** One program in usr/sbin and the libraries it needs, resolved: paths in the guest to paths here. */
export function filesOfProgram(program: Program): Promise<Map<string, string>> {
  return withLibraries(`usr/sbin/${program.name}`, programPath(program));
}

/** A program at that path in the guest, and the libraries it needs, resolved: paths in the guest to paths here. */
export async function withLibraries(guestPath: string, path: string): Promise<Map<string, string>> {
  const files = new Map([[guestPath, await realpath(path)]]);
  for (const library of await libraries(path)) files.set(library.slice(1), await realpath(library));
  return files;
}

/** The base image: everything that is equal in all virtual machines with one kernel. `modules` is a directory with `lib/modules`. */
export async function baseImage(files: ReadonlyMap<string, string>, modules: string): Promise<ArchiveEntry[]> {
  const entries: ArchiveEntry[] = [
    // Without this entry the root directory keeps the kernel's own mode, 777, and sshd accepts no key below it.
    { kind: 'directory', path: '.', mode: 0o755 },
    { kind: 'directory', path: 'root', mode: 0o700 },
    { kind: 'directory', path: `home/${DIRECTOR_USER.name}`, mode: 0o755, owner: DIRECTOR_USER.id },
    ...['proc', 'sys', 'dev', 'run', 'tmp', 'etc/ssh/authorized_keys.d'].map(
      (path): ArchiveEntry => ({ kind: 'directory', path, mode: 0o755 }),
    ),
    { kind: 'symlink', path: 'init', target: '/bin/busybox' },
    { kind: 'symlink', path: 'var/run', target: '/run' },
    text('etc/passwd', PASSWD),
    text('etc/group', GROUP),
    text('etc/shadow', SHADOW, 0o600),
    text('etc/nsswitch.conf', 'passwd: files\ngroup: files\nshadow: files\nhosts: files\n'),
    text('etc/protocols', 'ip 0 IP\nicmp 1 ICMP\ntcp 6 TCP\nudp 17 UDP\nipv6-icmp 58 IPv6-ICMP\nsctp 132 SCTP\n'),
    text('etc/hosts', '127.0.0.1 localhost\n::1 localhost\n'),
  ];
  for (const [path, source] of files) entries.push({ kind: 'file', path, mode: 0o755, data: await readFile(source) });
  entries.push(...(await applets(files)), ...(await guestFiles()), ...(await tree(modules, 'lib/modules')));
  return entries;
}

/** The files of `guest/`, which the machines run; what they are for is said in them. */
async function guestFiles(): Promise<ArchiveEntry[]> {
  const entries: ArchiveEntry[] = [];
  for (const name of (await readdir(GUEST_FILES)).sort()) {
    const data = await readFile(join(GUEST_FILES, name));
    if (name.endsWith('.sh')) entries.push({ kind: 'file', path: `lab/${name}`, mode: 0o755, data });
    else entries.push({ kind: 'file', path: GUEST_PATHS[name] ?? `etc/${name}`, mode: 0o644, data });
  }
  return entries;
}

const GUEST_PATHS: Record<string, string> = {
  sshd_config: 'etc/ssh/sshd_config',
  'modprobe.conf': 'etc/modprobe.d/lab.conf',
};

/** Links for busybox's own commands, except where the real program is there. */
async function applets(files: ReadonlyMap<string, string>): Promise<ArchiveEntry[]> {
  const taken = new Set([...files.keys()].map((path) => basename(path)));
  const list = await runCommand({ name: BUSYBOX.path, package: BUSYBOX.package }, ['--list-full']);
  const paths = list.split('\n').filter((path) => path !== '' && !taken.has(basename(path)));
  return paths.map((path) => ({ kind: 'symlink', path, target: '/bin/busybox' }));
}

/** All files below `root/under`, at the same place in the guest. */
export async function tree(root: string, under: string): Promise<ArchiveEntry[]> {
  const found = await readdir(join(root, under), { recursive: true, withFileTypes: true });
  const paths = found.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const read = paths.sort().map(
    async (path): Promise<ArchiveEntry> => ({
      kind: 'file',
      path: relative(root, path),
      mode: 0o644,
      data: await readFile(path),
    }),
  );
  return Promise.all(read);
}

function text(path: string, contents: string, mode = 0o644): ArchiveEntry {
  return { kind: 'file', path, mode, data: Buffer.from(contents) };
}

function programPath(program: Program): string {
  const path = PROGRAM_DIRECTORIES.map((directory) => join(directory, program.name)).find((file) => existsSync(file));
  if (path === undefined) throw new Error(`${program.name} is missing: install the Debian package ${program.package}`);
  return path;
}

/** Absolute paths of the shared libraries and the loader, as ldd(1) lists them. */
async function libraries(path: string): Promise<string[]> {
  const listing = await runCommand(LDD, [path]);
  return [...listing.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map((match) => match[1] ?? '');
}
