import type { IpAddress } from './ip-address.ts';
import type { Protocol } from './virtual-server.ts';

/** One port of an EndpointSlice; `name` is that of the Service port it belongs to. */
export interface EndpointPort {
  readonly name: string;
  readonly protocol: Protocol;
  /** 1 … 65535: where the pod listens. */
  readonly port: number;
}

/** An endpoint that answers. */
export interface PodEndpoint {
  readonly address: IpAddress;
  /** Terminating ones still serve, and are used only where none is ready (KEP-1669). */
  readonly state: 'ready' | 'serving terminating';
  /** The name of its node, where the slice says it. */
  readonly node?: string;
}

/** An endpoint that does not answer (any more, or yet): nothing new is sent there, and what it had drains. */
export interface SilentEndpoint {
  readonly address: IpAddress;
  readonly terminating: boolean;
  readonly node?: string;
}

/** The endpoints of one EndpointSlice, all of which have the same ports. */
export interface EndpointGroup {
  readonly ports: readonly EndpointPort[];
  readonly endpoints: readonly PodEndpoint[];
  readonly silent: readonly SilentEndpoint[];
}
