/** One thing in an initramfs. Paths are absolute inside it, without a leading slash. */
export type ArchiveEntry =
  | {
      readonly kind: 'file';
      readonly path: string;
      readonly mode: number;
      readonly data: Uint8Array;
      readonly owner?: number;
    }
  | { readonly kind: 'directory'; readonly path: string; readonly mode: number; readonly owner?: number }
  | { readonly kind: 'symlink'; readonly path: string; readonly target: string };

const FORMAT = { directory: 0o040000, file: 0o100000, symlink: 0o120000 };

/**
 * A "newc" cpio archive as the kernel unpacks it into its root (Documentation/driver-api/early-userspace/buffer-format.rst).
 * Written here and not by cpio(1), because then nobody needs to be root to give a file an owner, and equal entries make equal
 * bytes. Missing parent directories are added with mode 755. Several archives one behind the other are one initramfs, and a
 * later file replaces an earlier one. `owner` is both uid and gid.
 */
export function cpioArchive(entries: readonly ArchiveEntry[]): Buffer {
  const parts: Buffer[] = [];
  let inode = 1;
  for (const entry of withParents(entries)) parts.push(...record(entry, inode++));
  parts.push(...trailer());
  return Buffer.concat(parts);
}

function withParents(entries: readonly ArchiveEntry[]): ArchiveEntry[] {
  const explicit = new Set(entries.filter((entry) => entry.kind === 'directory').map((entry) => entry.path));
  const parents = new Set<string>();
  for (const { path } of entries) {
    const segments = path.split('/');
    for (let depth = 1; depth < segments.length; depth += 1) parents.add(segments.slice(0, depth).join('/'));
  }
  const added = [...parents].filter((path) => !explicit.has(path));
  const directories = added.map((path): ArchiveEntry => ({ kind: 'directory', path, mode: 0o755 }));
  const ordered = [...directories, ...entries.filter((entry) => entry.kind === 'directory')];
  ordered.sort((a, b) => (a.path < b.path ? -1 : 1));
  return [...ordered, ...entries.filter((entry) => entry.kind !== 'directory')];
}

function record(entry: ArchiveEntry, inode: number): Buffer[] {
  if (entry.path.startsWith('/') || entry.path === '') throw new Error(`not a path inside an archive: "${entry.path}"`);
  const permissions = entry.kind === 'symlink' ? 0o777 : entry.mode;
  const owner = entry.kind === 'symlink' ? 0 : (entry.owner ?? 0);
  const data = entry.kind === 'file' ? entry.data : Buffer.from(entry.kind === 'symlink' ? entry.target : '');
  return member(entry.path, inode, FORMAT[entry.kind] | permissions, owner, data);
}

function trailer(): Buffer[] {
  return member('TRAILER!!!', 0, 0, 0, Buffer.alloc(0));
}

function member(path: string, inode: number, mode: number, owner: number, data: Uint8Array): Buffer[] {
  const name = Buffer.from(`${path}\0`);
  const links = (mode & FORMAT.directory) === FORMAT.directory ? 2 : 1;
  // c_mtime is 0: the archive's bytes shall depend on its contents only.
  const fields = [inode, mode, owner, owner, links, 0, data.length, 0, 0, 0, 0, name.length, 0];
  const header = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`);
  return [header, name, padding(header.length + name.length), Buffer.from(data), padding(data.length)];
}

function padding(length: number): Buffer {
  return Buffer.alloc((4 - (length % 4)) % 4);
}
