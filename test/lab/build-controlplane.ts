/**
 * Builds the control plane binary that every lab runs, unless it is up to date:
 *
 *     node test/lab/build-controlplane.ts
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, globSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CONTROLPLANE, REPOSITORY } from './lab-dir.ts';

const MODULE = join(REPOSITORY, 'test/lab/controlplane');
const STAMP = `${CONTROLPLANE}.stamp`;

/** Builds `.build/controlplane` when its sources changed since the last build. `report` gets a sentence about what is done. */
export function buildControlPlane(report: (sentence: string) => void): void {
  const wanted = hashOfSources();
  if (existsSync(CONTROLPLANE) && existsSync(STAMP) && readFileSync(STAMP, 'utf8') === wanted) {
    report('the control plane is up to date');
    return;
  }
  report('building the Kubernetes control plane (about 4 minutes the first time, then seconds)');
  const start = performance.now();
  mkdirSync(dirname(CONTROLPLANE), { recursive: true });
  const partial = `${CONTROLPLANE}.${process.pid}`;
  const version = /k8s\.io\/kubernetes (v\S+)/.exec(readFileSync(join(MODULE, 'go.mod'), 'utf8'))?.[1] ?? 'v0.0.0';
  const flags = `-s -w -X k8s.io/component-base/version.gitVersion=${version}`;
  const build = spawnSync('go', ['build', '-trimpath', '-ldflags', flags, '-o', partial, '.'], {
    cwd: MODULE,
    stdio: 'inherit',
    env: { ...process.env, CGO_ENABLED: '0', PATH: `${process.env.PATH ?? ''}:/usr/local/go/bin` },
  });
  if (build.error !== undefined) throw new Error(`go could not be run (is Go 1.26 installed?): ${build.error.message}`);
  if (build.status !== 0) throw new Error(`go build of ${MODULE} failed with ${build.status ?? build.signal}`);
  // Replaced in one step: labs that run keep the program they started with.
  renameSync(partial, CONTROLPLANE);
  writeFileSync(STAMP, wanted);
  report(`the control plane is built (${((performance.now() - start) / 1000).toFixed(0)} s)`);
}

function hashOfSources(): string {
  const hash = createHash('sha256');
  for (const file of [
    'go.mod',
    'go.sum',
    ...globSync('**/*.go', { cwd: MODULE })
      .filter((file) => !file.endsWith('_test.go'))
      .toSorted(),
  ])
    hash.update(`${file}\0`).update(readFileSync(join(MODULE, file)));
  return hash.digest('hex');
}

if (import.meta.main) {
  try {
    buildControlPlane((sentence) => console.error(`build: ${sentence}`));
  } catch (error) {
    console.error(`build: ${error instanceof Error ? error.message : String(error)}`);
    process.exit(1);
  }
}
