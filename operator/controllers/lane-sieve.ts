import { incapacity } from '../core/director-capabilities.ts';
import { formatVirtualServerKey, type VirtualServer, type VirtualServerKeyText } from '../model/virtual-server.ts';
import type { KeyFailure } from './lane-entries.ts';
import type { HelperHello } from './ports.ts';

/** It is looked at again so often, from memory: a new session brings new capabilities, and the whole table is sent anyway. */
const LOOK_AGAIN_MS = 30_000;

/**
 * What can be sent to a director, and why the rest cannot: that is known before anything is written. A helper that has not heard of real
 * servers that are gone is not told of them: it would refuse the request, and without that word it lets them drain.
 */
export function sieve(
  virtualServers: readonly VirtualServer[],
  { capabilities }: HelperHello,
  now: number,
): { readonly possible: readonly VirtualServer[]; readonly failures: ReadonlyMap<VirtualServerKeyText, KeyFailure> } {
  const failures = new Map<VirtualServerKeyText, KeyFailure>();
  const possible = virtualServers.filter((virtualServer) => {
    const cause = incapacity(virtualServer, capabilities);
    if (cause === undefined) return true;
    const text = formatVirtualServerKey(virtualServer);
    const retryAt = now + LOOK_AGAIN_MS;
    failures.set(text, { class: 'permanent', message: `${text}: ${cause}`, retryAt, untouched: true, notOurs: false });
    return false;
  });
  const knowsGone = capabilities.features?.includes('gone') === true;
  return { possible: knowsGone ? possible : possible.map(withoutGone), failures };
}

function withoutGone(virtualServer: VirtualServer): VirtualServer {
  const { gone: _, ...rest } = virtualServer;
  return rest;
}
