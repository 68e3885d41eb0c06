/**
 * Builds the images that the lab's virtual machines boot:
 *
 *     node test/lab/image/build-image.ts --kernel 6.1 [--kernel 6.12] [--helper dist/ipvs-helper]
 *
 * Results: `.build/images/<series>/{vmlinuz,base.cpio,node.cpio}` and `.build/images/ipvs-helper`. What is up to date is not built again.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { baseImage, hostFiles } from './base-image.ts';
import { cpioArchive } from './cpio.ts';
import { type DebianKernel, debianKernel, KERNEL_SERIES, type KernelSeries } from './debian-kernel.ts';
import { DIRECTOR_MODULES, NODE_MODULES, pickModules } from './kernel-modules.ts';
import { nodeFiles, nodeImage } from './node-image.ts';

const BUILD = fileURLToPath(new URL('../../../.build/', import.meta.url));
const IMAGES = join(BUILD, 'images');
const KERNELS = join(BUILD, 'kernels');

/** What qemu needs to boot a machine of the lab; `initrd` still lacks the machine's own settings. */
export interface Image {
  readonly release: string;
  readonly vmlinuz: string;
  readonly initrd: string;
  /** What a cluster node has besides, to stand behind `initrd`. */
  readonly nodeInitrd: string;
}

/** The helper that directors carry, put there by build-image `--helper`. */
export const INSTALLED_HELPER = join(IMAGES, 'ipvs-helper');

/** The image of that kernel series as it was built last; an error that names the command when it was not. */
export async function builtImage(series: KernelSeries): Promise<Image> {
  const stamp = join(IMAGES, series, 'stamp.json');
  if (!existsSync(stamp))
    throw new Error(`no image of kernel ${series}: run node test/lab/image/build-image.ts --kernel ${series}`);
  const { release } = JSON.parse(await readFile(stamp, 'utf8')) as Stamp;
  const file = (name: string) => join(IMAGES, series, name);
  return { release, vmlinuz: file('vmlinuz'), initrd: file('base.cpio'), nodeInitrd: file('node.cpio') };
}

/** Builds the image of that kernel series unless it is up to date. `report` gets a sentence for each step that takes time. */
export async function buildImage(series: KernelSeries, report: (sentence: string) => void): Promise<Image> {
  const kernel = await debianKernel(series, KERNELS, report);
  const [files, forNodes] = [await hostFiles(), await nodeFiles()];
  const inputs = await hashOfInputs(kernel, [...files.values(), ...forNodes.values()]);
  const directory = join(IMAGES, series);
  const stamp = join(directory, 'stamp.json');
  if (existsSync(stamp) && (JSON.parse(await readFile(stamp, 'utf8')) as Stamp).inputs === inputs) {
    report(`${kernel.release} is up to date`);
    return builtImage(series);
  }
  await mkdir(directory, { recursive: true });
  const modules = join(KERNELS, `modules-${series}-${process.pid}`);
  try {
    const count = await pickModules(kernel, DIRECTOR_MODULES, modules);
    report(`${count} modules of ${kernel.release} picked`);
    const archive = cpioArchive(await baseImage(files, modules));
    await replaceFile(join(directory, 'base.cpio'), archive);
    await pickModules(kernel, [...DIRECTOR_MODULES, ...NODE_MODULES], modules);
    await replaceFile(join(directory, 'node.cpio'), cpioArchive(await nodeImage(forNodes, modules)));
    await replaceFile(join(directory, 'vmlinuz'), await readFile(kernel.vmlinuz));
    await replaceFile(stamp, JSON.stringify({ release: kernel.release, inputs } satisfies Stamp));
    report(`${kernel.release} packed, ${(archive.length / 1e6).toFixed(1)} MB`);
  } finally {
    await rm(modules, { recursive: true, force: true });
  }
  return builtImage(series);
}

/** Puts the helper where directors take it from. */
export async function installHelper(path: string): Promise<void> {
  await mkdir(IMAGES, { recursive: true });
  const partial = `${INSTALLED_HELPER}.${process.pid}`;
  await copyFile(path, partial);
  await rename(partial, INSTALLED_HELPER);
}

interface Stamp {
  readonly release: string;
  readonly inputs: string;
}

/** Kernel, host programs and libraries, this folder's own sources: whatever can change the image's bytes. */
async function hashOfInputs(kernel: DebianKernel, files: readonly string[]): Promise<string> {
  const hash = createHash('sha256').update(`${kernel.release}\n`);
  const here = fileURLToPath(new URL('.', import.meta.url));
  const sources = (await readdir(here, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  const paths = [...files, ...sources.map((entry) => join(entry.parentPath, entry.name))];
  for (const path of paths.sort()) hash.update(`${path}\n`).update(await readFile(path));
  return hash.digest('hex');
}

/** A reader sees the old file or the new one: machines may start while an image is built. */
async function replaceFile(path: string, contents: string | Buffer): Promise<void> {
  const partial = `${path}.${process.pid}`;
  await writeFile(partial, contents);
  await rename(partial, path);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { kernel: { type: 'string', multiple: true }, helper: { type: 'string' } },
  });
  const wanted = values.kernel ?? [];
  const unknown = wanted.find((series) => !(KERNEL_SERIES as readonly string[]).includes(series));
  if (unknown !== undefined || wanted.length === 0)
    throw new Error(`--kernel takes one of ${KERNEL_SERIES.join(', ')}, and may be given several times`);
  for (const [index, series] of wanted.entries())
    await buildImage(series as KernelSeries, (sentence) =>
      console.log(`image ${series} (${index + 1} of ${wanted.length}): ${sentence}`),
    );
  if (values.helper !== undefined) {
    if (!existsSync(values.helper)) throw new Error(`${values.helper} does not exist: build the helper first`);
    await installHelper(values.helper);
    console.log(`image: directors get ${values.helper}`);
  }
}

if (import.meta.main) {
  try {
    await main();
  } catch (error) {
    console.error(`image: ${(error as Error).message}`);
    process.exitCode = 1;
  }
}
