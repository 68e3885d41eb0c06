import { HTTP_PORT, type Manifest, UDP_PORT } from '../manifests.ts';
import { cluster } from '../world.ts';
import type { Stage } from './stage.ts';

export interface EchoPod {
  readonly name: string;
  /** The label `app`. */
  readonly app: string;
  readonly node: string;
}

/** Starts an echo server that no controller looks after, and waits until it is ready. */
export async function startEchoPod(stage: Stage, pod: EchoPod): Promise<void> {
  await stage.scene.apply(manifest(stage.namespace, pod));
  await cluster().kubectl('wait', `pod/${pod.name}`, '-n', stage.namespace, '--for=condition=Ready', '--timeout=50s');
}

function manifest(namespace: string, { name, app, node: nodeName }: EchoPod): Manifest {
  const args = ['netexec', `--http-port=${HTTP_PORT}`, `--udp-port=${UDP_PORT}`];
  const readinessProbe = { httpGet: { path: '/healthz', port: HTTP_PORT }, periodSeconds: 1 };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels: { app } },
    spec: { nodeName, containers: [{ name: 'echo', image: 'agnhost', args, readinessProbe }] },
  };
}
