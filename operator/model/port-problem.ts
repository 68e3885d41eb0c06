import type { Protocol } from './virtual-server.ts';

/** Why one port of a Service is not served. */
export interface PortProblem {
  readonly port: number;
  readonly protocol: Protocol;
  /** For `status.loadBalancer.ingress[].ports[].error`: a qualified name (core/v1 PortStatus). */
  readonly error: string;
  /** A sentence with the remedy. */
  readonly message: string;
}
