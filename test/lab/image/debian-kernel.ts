import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from './run-command.ts';

/** The kernel series that directors of the lab run: Debian 12's own, and the newer one it offers beside it. */
export const KERNEL_SERIES = ['6.1', '6.12'] as const;
export type KernelSeries = (typeof KERNEL_SERIES)[number];

/** A stock Debian cloud kernel, unpacked (not installed). */
export interface DebianKernel {
  readonly series: KernelSeries;
  /** As `uname -r` says in the guest, for example `6.1.0-50-cloud-amd64`. */
  readonly release: string;
  /** The bootable file. */
  readonly vmlinuz: string;
  /** The directory that holds `lib/modules/<release>`. */
  readonly root: string;
}

const APT_CACHE = { name: 'apt-cache', package: 'apt' };
const APT_GET = { name: 'apt-get', package: 'apt' };
const ARCHIVE_KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
const DPKG_DEB = { name: 'dpkg-deb', package: 'dpkg' };

/** The packages of one series; the number that grows is in the one group. */
const PACKAGE_NAMES: Record<KernelSeries, RegExp> = {
  '6.1': /^linux-image-6\.1\.0-(\d+)-cloud-amd64$/,
  '6.12': /^linux-image-6\.12\.(\d+)\+[a-z0-9+.]+-cloud-amd64$/,
};

/**
 * The newest cloud kernel of the series that apt offers, from the cache when it is there. Asked in this order: the machine's own
 * package lists; the cache, whatever lies in it; the same sources with lists fetched afresh; those and the backports of the same
 * mirror. The machine's own apt state is never changed.
 */
export async function debianKernel(
  series: KernelSeries,
  cache: string,
  report: (sentence: string) => void,
): Promise<DebianKernel> {
  await mkdir(cache, { recursive: true });
  const troubles: string[] = [];
  for (const source of [machineLists, freshLists, backports]) {
    try {
      const options = await source(cache, report);
      const name = await newestPackage(series, options);
      if (name === undefined) throw new Error(`no package of the ${series} cloud kernel`);
      return await unpacked(series, name, cache, options, report);
    } catch (error) {
      troubles.push(`${source.name}: ${(error as Error).message}`);
    }
    const kept = await newestInCache(series, cache);
    if (kept !== undefined) return kept;
  }
  throw new Error(`Debian's ${series} cloud kernel cannot be had from apt. ${troubles.join('; ')}`);
}

async function machineLists(): Promise<string[]> {
  return [];
}

async function freshLists(cache: string, report: (sentence: string) => void): Promise<string[]> {
  const lists = join(cache, 'apt-lists');
  await mkdir(join(lists, 'partial'), { recursive: true });
  const options = ['-o', `Dir::State::lists=${lists}`, '-o', 'APT::Sandbox::User=', '-o', 'Debug::NoLocking=1'];
  report('fetching package lists');
  await runCommand(APT_GET, ['update', ...options]);
  return options;
}

/** The mirror is the one this machine already uses for Debian itself, so that no host name stands in this file. */
async function backports(cache: string, report: (sentence: string) => void): Promise<string[]> {
  const options = await freshLists(cache, report);
  const format = '$(LABEL)|$(REPO_URI)|$(CODENAME)';
  const targets = await runCommand(APT_GET, ['indextargets', ...options, '--format', format, 'Created-By: Packages']);
  const [, uri, codename] =
    targets
      .split('\n')
      .find((line) => line.startsWith('Debian|'))
      ?.split('|') ?? [];
  if (uri === undefined || codename === undefined) throw new Error('no Debian archive among the apt sources');
  const key = existsSync(ARCHIVE_KEYRING) ? `[signed-by=${ARCHIVE_KEYRING}] ` : '';
  const sources = join(cache, 'backports.list');
  await writeFile(sources, `deb ${key}${uri} ${codename.replace(/-updates$/, '')}-backports main\n`);
  const withBackports = [...options, '-o', `Dir::Etc::sourcelist=${sources}`, '-o', 'Dir::Etc::sourceparts=-'];
  report('fetching package lists of the backports');
  await runCommand(APT_GET, ['update', ...withBackports]);
  return withBackports;
}

async function newestPackage(series: KernelSeries, options: readonly string[]): Promise<string | undefined> {
  const prefix = `linux-image-${series}.`;
  const names = (await runCommand(APT_CACHE, [...options, 'pkgnames', prefix])).split('\n');
  const wanted = names.filter((name) => PACKAGE_NAMES[series].test(name));
  if (wanted.length === 0) return undefined;
  const policy = await runCommand(APT_CACHE, [...options, 'policy', ...wanted]);
  const offered = wanted.filter((name) => {
    const candidate = policy.split(`${name}:\n`)[1]?.match(/Candidate: (\S+)/)?.[1];
    return candidate !== undefined && candidate !== '(none)';
  });
  return offered.sort((a, b) => growth(series, b) - growth(series, a))[0];
}

function growth(series: KernelSeries, name: string): number {
  return Number(PACKAGE_NAMES[series].exec(name)?.[1] ?? -1);
}

async function unpacked(
  series: KernelSeries,
  name: string,
  cache: string,
  options: readonly string[],
  report: (sentence: string) => void,
): Promise<DebianKernel> {
  const root = join(cache, name);
  if (!existsSync(root)) {
    const partial = `${root}.partial-${process.pid}`;
    await mkdir(partial, { recursive: true });
    try {
      report(`downloading ${name}`);
      await runCommand(APT_GET, ['download', '-o', 'APT::Sandbox::User=', ...options, name], { cwd: partial });
      const [archive] = await readdir(partial);
      if (archive === undefined) throw new Error(`apt-get download ${name} left no file`);
      report(`unpacking ${archive}`);
      await runCommand(DPKG_DEB, ['-x', join(partial, archive), join(partial, 'tree')]);
      await rename(join(partial, 'tree'), root);
    } catch (error) {
      // Another build may have unpacked the same package meanwhile; its result is as good.
      if (!existsSync(root)) throw error;
    } finally {
      await rm(partial, { recursive: true, force: true });
    }
  }
  return inCache(series, name, cache);
}

function inCache(series: KernelSeries, name: string, cache: string): DebianKernel {
  const release = name.replace(/^linux-image-/, '');
  const root = join(cache, name);
  return { series, release, root, vmlinuz: join(root, 'boot', `vmlinuz-${release}`) };
}

async function newestInCache(series: KernelSeries, cache: string): Promise<DebianKernel | undefined> {
  const names = (await readdir(cache)).filter((name) => PACKAGE_NAMES[series].test(name));
  const newest = names.sort((a, b) => growth(series, b) - growth(series, a))[0];
  return newest === undefined ? undefined : inCache(series, newest, cache);
}
