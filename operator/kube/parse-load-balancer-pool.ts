import type { z } from 'zod';
import { loadBalancerPoolSpec } from '../api/load-balancer-pool.ts';
import { countAddresses, usableRanges } from '../core/usable-ranges.ts';
import type { AddressPool, AddressRange } from '../model/address-pool.ts';
import { parseAddressRange } from '../model/address-range.ts';
import type { LabelSelector } from '../model/labels.ts';
import type { Parsed } from '../model/parsed.ts';
import type { KubeObject } from './kube-object.ts';
import { parsePoolAllocation } from './parse-pool-allocation.ts';
import { balancingOptions, balancingProblems } from './parse-pool-balancing.ts';
import { schemaProblems } from './schema-problems.ts';

/** With avoidBuggyIPs every 256 addresses are a range of their own, so such a pool is bounded: a /8. */
const LARGEST_AVOIDING_POOL = 1n << 24n;

type Spec = z.output<typeof loadBalancerPoolSpec>;

/**
 * A LoadBalancerPool as the operator uses it, or every problem it has. The API server refuses most of them (the rules in the
 * schema); this is for what its rules cannot say, and for objects older than a rule.
 */
export function parseLoadBalancerPool(object: KubeObject): Parsed<AddressPool> {
  const { name, uid, generation = 0, creationTimestamp, deletionTimestamp } = object.metadata;
  const read = loadBalancerPoolSpec.safeParse(object.spec);
  if (!read.success) return { ok: false, name, generation, problems: schemaProblems(read.error) };
  const spec = read.data;
  const problems: string[] = [];
  const ranges = parseRanges(spec, problems);
  const allocation = parsePoolAllocation(spec, ranges, problems);
  problems.push(...balancingProblems(spec));
  if (problems.length > 0) return { ok: false, name, generation, problems };
  return {
    ok: true,
    value: {
      name,
      uid,
      generation,
      createdAt: Date.parse(creationTimestamp ?? '') || 0,
      deleting: deletionTimestamp !== undefined,
      ranges,
      autoAssign: spec.autoAssign,
      paused: spec.paused,
      ...allocation,
      directorSelector: spec.directors.selector as LabelSelector,
      ...(spec.nodeSelector && { nodeSelector: spec.nodeSelector as LabelSelector }),
      balancing: balancingOptions(spec),
      ...(spec.ipMode && { ipMode: spec.ipMode }),
    },
  };
}

function parseRanges(spec: Spec, problems: string[]): readonly AddressRange[] {
  const read = (field: string, texts: readonly string[]): AddressRange[] =>
    texts.flatMap((text) => {
      const range = parseAddressRange(text);
      if (typeof range !== 'string') return [range];
      problems.push(`spec.${field}: ${range}`);
      return [];
    });
  const ranges = read('addresses', spec.addresses);
  const excluded = read('excludedAddresses', spec.excludedAddresses ?? []);
  if (problems.length > 0) return [];
  const ipv4 = ranges.filter(({ family }) => family === 'IPv4');
  if (spec.avoidBuggyIPs && countAddresses(ipv4) > LARGEST_AVOIDING_POOL) {
    problems.push(
      'spec.avoidBuggyIPs: works for at most a /8 of IPv4 addresses; use fewer addresses or set it to false.',
    );
    return [];
  }
  const usable = usableRanges(ranges, excluded, spec.avoidBuggyIPs);
  if (usable.length === 0)
    problems.push(
      'spec.addresses: every address is excluded by excludedAddresses or avoidBuggyIPs, so the pool is empty; exclude fewer.',
    );
  return usable;
}
