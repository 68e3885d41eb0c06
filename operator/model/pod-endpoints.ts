import type { IpAddress } from './ip-address.ts';
import type { Protocol } from './virtual-server.ts';

/** One port of an EndpointSlice; `name` is that of the Service port it belongs to. */
export interface EndpointPort {
  readonly name: string;
  readonly protocol: Protocol;
  /** 1 … 65535: where the pod listens. */
  readonly port: number;
}

/** An endpoint that answers. Those that do not are left out: what they had drains. */
export interface PodEndpoint {
  readonly address: IpAddress;
  /** Terminating ones still serve, and are used only where none is ready (KEP-1669). */
  readonly state: 'ready' | 'serving terminating';
}

/** The endpoints of one EndpointSlice, all of which have the same ports. */
export interface EndpointGroup {
  readonly ports: readonly EndpointPort[];
  readonly endpoints: readonly PodEndpoint[];
}
