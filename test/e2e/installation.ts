import { readFileSync } from 'node:fs';
import { directorAddresses } from '../lab/addresses.ts';
import { DIRECTOR_USER } from '../lab/image/base-image.ts';
import { type Lab, OPERATOR_NAMESPACE } from '../lab/lab.ts';
import { REPOSITORY } from '../lab/lab-dir.ts';
import type { Cluster } from './cluster.ts';
import { director, type Manifest, pool, secret } from './manifests.ts';

/** Where a Director object points: part of its spec. */
export interface Place {
  readonly address: string;
  readonly port: number;
  readonly user: string;
  readonly hostKeys: readonly string[];
}

/** The lab's directors, as Director objects have to name them. */
export function placesOf(lab: Lab): readonly Place[] {
  return lab.directors.map(({ hostKey }, index) => ({
    address: directorAddresses(index + 1).v4,
    port: 22,
    user: DIRECTOR_USER.name,
    hostKeys: [hostKey],
  }));
}

/**
 * What an administrator installs: the manifests of config/default, the key, a Director for each director of the lab, and the pool
 * `public`, from which Services get addresses unless they name another.
 */
export async function install(lab: Lab, cluster: Cluster): Promise<void> {
  await cluster.kubectl('apply', '-k', `${REPOSITORY}/config/default`);
  await cluster.kubectl('wait', '--for=condition=Established', 'crd', '--all', '--timeout=40s');
  await cluster.apply(operatorKey(lab), ...directors(lab), publicPool());
}

function operatorKey(lab: Lab): Manifest {
  return secret({
    namespace: OPERATOR_NAMESPACE,
    name: 'director-ssh',
    type: 'kubernetes.io/ssh-auth',
    data: { 'ssh-privatekey': readFileSync(lab.operatorKeyFile, 'utf8') },
  });
}

function directors(lab: Lab): Manifest[] {
  return placesOf(lab).map((place, index) => {
    const name = lab.directors[index]?.name ?? '';
    return director({ name, labels: { site: 'a', name }, spec: { ...place } });
  });
}

function publicPool(): Manifest {
  return pool('public', {
    addresses: ['203.0.113.10-203.0.113.99', '2001:db8:113::10-2001:db8:113::ff'],
    autoAssign: true,
  });
}
