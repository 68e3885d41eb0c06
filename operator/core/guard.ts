import { listInWords } from '../lib/list-in-words.ts';
import {
  formatVirtualServerKey,
  type VirtualServer,
  type VirtualServerKey,
  type VirtualServerKeyText,
} from '../model/virtual-server.ts';

/** Removals that nobody is known to have asked for are carried out up to this many in one pass … */
const UNEXPLAINED_FLOOR = 5;
/** … or up to this share of what the director holds, whichever is more. */
const UNEXPLAINED_SHARE = 0.2;

export interface GuardInput {
  /** What the director holds of ours now. */
  readonly held: readonly VirtualServerKey[];
  /** What it shall hold. */
  readonly desired: readonly (VirtualServerKey | VirtualServer)[];
  /** Keys whose removal was seen to be asked for: a Service deleted, its type, ports or address changed, a pool moved away. */
  readonly explained: ReadonlySet<VirtualServerKeyText>;
}

export interface GuardVerdict {
  readonly allowed: boolean;
  /** Held, not desired, not explained; in the order of `held`. */
  readonly unexplained: readonly VirtualServerKey[];
  /** Empty when allowed. */
  readonly message: string;
}

/**
 * Blast-radius guard of a full pass: a wrong or partial view of the cluster looks like many Services vanishing at once, so more
 * than max(5, 20 %) of removals without a seen cause are held, all of them, until a person or a cause explains them.
 */
export function guardRemovals({ held, desired, explained }: GuardInput): GuardVerdict {
  const wanted = new Set(desired.map(formatVirtualServerKey));
  const unexplained = held.filter((key) => {
    const text = formatVirtualServerKey(key);
    return !wanted.has(text) && !explained.has(text);
  });
  const limit = Math.max(UNEXPLAINED_FLOOR, Math.floor(held.length * UNEXPLAINED_SHARE));
  if (unexplained.length <= limit) return { allowed: true, unexplained, message: '' };
  const names = listInWords(unexplained.map(formatVirtualServerKey), 3);
  return {
    allowed: false,
    unexplained,
    message:
      `${unexplained.length} of ${held.length} virtual servers would be removed although no deletion of their Services was seen ` +
      `(limit ${limit} in one pass): ${names}. They stay. Check that the operator sees the right cluster; ` +
      'if they shall go, remove them on the director with ipvsadm -D.',
  };
}
