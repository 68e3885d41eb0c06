import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { LabOptions } from './options.ts';

/** Root of the repository. */
export const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url)).replace(/\/$/, '');
/** The binary of test/lab/controlplane. */
export const CONTROLPLANE = join(REPOSITORY, '.build/controlplane');
/** What `make build` makes of operator/. */
export const OPERATOR = join(REPOSITORY, 'dist/ipvs-operator');
/** What `make build` makes of helper/. */
export const HELPER = join(REPOSITORY, 'dist/ipvs-helper');

/** What a process that attaches to a running lab must know; the file lab.json of its directory. */
export type LabState = Pick<LabOptions, 'directors' | 'kernel' | 'proxyMode' | 'vmNodes' | 'vmProxyMode'>;

/** Names in the directory of one lab. It lies on a tmpfs of the lab's own and goes with it. */
export class LabDir {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** The lab this process runs in. */
  static current(): LabDir {
    const path = process.env.LAB_DIR;
    if (path === undefined)
      throw new Error('LAB_DIR is not set: run this inside a lab, with test/lab/lab run -- PROGRAM');
    return new LabDir(path);
  }

  get logs(): string {
    return join(this.path, 'logs');
  }
  /** One description per node: the kubelet stand-in follows those that end in .json. */
  get nodes(): string {
    return join(this.path, 'nodes');
  }
  /** Working directory of the nodes that are virtual machines. */
  get vmNodes(): string {
    return join(this.path, 'vm-nodes');
  }
  /** Working directory of the director virtual machines. */
  get directors(): string {
    return join(this.path, 'directors');
  }
  /** Programs for the PATH of people and tests: kubectl and others. */
  get bin(): string {
    return join(this.path, 'bin');
  }
  /** Key pair of the operator for SSH to the directors; the public key ends in .pub. */
  get operatorKey(): string {
    return join(this.path, 'operator-key');
  }
  get certificates(): string {
    return join(this.path, 'certificates');
  }
  get stateFile(): string {
    return join(this.path, 'lab.json');
  }
  kubeconfig(user: string): string {
    return join(this.path, `${user}.kubeconfig`);
  }
  log(program: string): string {
    return join(this.logs, `${program}.log`);
  }
  state(): LabState {
    return JSON.parse(readFileSync(this.stateFile, 'utf8')) as LabState;
  }
}
