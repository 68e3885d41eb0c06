import { listInWords } from '../lib/list-in-words.ts';
import type { VirtualServer } from '../model/virtual-server.ts';

/** What a director's kernel and helper can do, as the helper tells when a session begins. */
export interface DirectorCapabilities {
  /** Empty when the helper cannot see the kernel's modules. */
  readonly schedulers: readonly string[];
  readonly forwardingMethods: readonly string[];
  /** Absent from helpers that do not tell: then the read-back after a write finds what the kernel did not keep. */
  readonly tunnelTypes?: readonly string[];
  /** What may be asked of the helper beyond the first form of the protocol; absent from helpers that know none of it. */
  readonly features?: readonly string[];
}

/** Why a director cannot have a virtual server whatever its policy says: a sentence with the remedy, or undefined. */
export function incapacity(virtualServer: VirtualServer, capabilities: DirectorCapabilities): string | undefined {
  const { schedulers, forwardingMethods, tunnelTypes, features = [] } = capabilities;
  const { scheduler, realServers } = virtualServer;
  if (schedulers.length > 0 && !schedulers.includes(scheduler)) {
    return `its kernel has no scheduler ${scheduler}: install the module ip_vs_${scheduler}, or choose one of ${listInWords(schedulers)}.`;
  }
  const method = realServers.find(({ forwardingMethod }) => !forwardingMethods.includes(forwardingMethod));
  if (method !== undefined) {
    return `its helper does not know forwarding method ${method.forwardingMethod}: update the helper, or choose one of ${listInWords(forwardingMethods)}.`;
  }
  const alien = realServers.find(({ tunnel }) => tunnel !== undefined && tunnelTypes?.includes(tunnel.type) === false);
  if (alien?.tunnel !== undefined) {
    return `its kernel has no tunnels of type ${alien.tunnel.type}: use a newer kernel (gue came with Linux 5.2, gre with 5.3), or choose ipip.`;
  }
  if (realServers.some(({ tunnel }) => tunnel?.remoteChecksum) && !features.includes('remoteChecksum')) {
    return 'its helper does not know remoteChecksum of a tunnel: update the helper, or remove remoteChecksum.';
  }
  return undefined;
}
