import type { IpAddress } from './ip-address.ts';
import type { LabelSet } from './labels.ts';

/** What an operator may do with a director: fill it; leave it out of new publications; empty it. */
export type DirectorState = 'Active' | 'Cordoned' | 'Drained';

/** A parsed Director object: one host with IPVS, reached over SSH. */
export interface Director {
  readonly name: string;
  readonly uid: string;
  /** metadata.generation of the object that was parsed; goes to `observedGeneration`. */
  readonly generation: number;
  readonly labels: LabelSet;
  readonly deleting: boolean;
  readonly address: IpAddress;
  readonly port: number;
  readonly user: string;
  /** Pinned host keys, each `algorithm base64` as in a known_hosts line. Never empty. */
  readonly hostKeys: readonly string[];
  /** Secret of type kubernetes.io/ssh-auth in the operator's namespace. */
  readonly secretName: string;
  /** Interface of the host that carries the VIPs as /32 and /128. */
  readonly interface: string;
  /** Name under which the host's policy file grants us address ranges. */
  readonly tableOwner: string;
  readonly state: DirectorState;
  readonly driftPolicy: 'Repair' | 'Report';
}
