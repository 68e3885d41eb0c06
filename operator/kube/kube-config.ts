import { KubeConfig } from '@kubernetes/client-node';

/** Where the API server is and who we are. */
export interface KubeConfigSource {
  /** Path of a kubeconfig; without one the Pod's service account is used. */
  readonly kubeconfig?: string;
  /** e.g. `ipvs-operator/0.1.0`. */
  readonly userAgent: string;
}

/** client-node's configuration with connections that are shared, bounded in time, and HTTP/1.1. */
export class OpKubeConfig extends KubeConfig {
  /** Closes every connection; requests in flight fail. */
  async close(): Promise<void> {
    throw new Error('not built yet');
  }
}

/** Throws with a sentence when the file, or the service account of the Pod, cannot be used. */
export function loadKubeConfig(_source: KubeConfigSource): OpKubeConfig {
  throw new Error('not built yet');
}
