/**
 * Completes package-lock.json with the optional platform packages (@biomejs/cli-win32-x64 …) that the registry in use does not offer.
 * `npm install` leaves those out without a word, and `npm ci` then refuses the lockfile because they are missing. They are entered with
 * the version their parent names and the platform their name says, so that `npm ci` passes them over on every platform but theirs.
 *
 * Run after each `npm install`: `make lock`.
 */
import { readFileSync, writeFileSync } from 'node:fs';

interface LockedPackage {
  version: string;
  cpu?: string[];
  os?: string[];
  libc?: string[];
  dev?: boolean;
  optional?: boolean;
  optionalDependencies?: Record<string, string>;
}

const OPERATING_SYSTEMS = [
  'android',
  'darwin',
  'freebsd',
  'linux',
  'openharmony',
  'win32',
  'aix',
  'netbsd',
  'openbsd',
  'sunos',
];
const PROCESSORS = ['arm64', 'arm', 'x64', 'ia32', 'ppc64', 'riscv64', 's390x', 'loong64', 'mips64el'];

const lock = JSON.parse(readFileSync('package-lock.json', 'utf8')) as { packages: Record<string, LockedPackage> };
const added: string[] = [];
for (const parent of Object.values(lock.packages)) {
  for (const [name, version] of Object.entries(parent.optionalDependencies ?? {})) {
    const words = name.split(/[/-]/);
    const os = OPERATING_SYSTEMS.find((candidate) => words.includes(candidate));
    const cpu = PROCESSORS.find((candidate) => words.includes(candidate));
    const path = `node_modules/${name}`;
    if (os === undefined || lock.packages[path] !== undefined) continue;
    lock.packages[path] = {
      version,
      ...(cpu !== undefined && { cpu: [cpu] }),
      ...(parent.dev && { dev: true }),
      ...(name.includes('musl') && { libc: ['musl'] }),
      optional: true,
      os: [os],
    };
    added.push(name);
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
writeFileSync('package-lock.json', `${JSON.stringify(lock, null, 2)}\n`);
console.log(
  added.length === 0 ? 'package-lock.json is complete' : `package-lock.json: added ${added.length} platform packages`,
);
