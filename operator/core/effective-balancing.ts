import type { AddressPool } from '../model/address-pool.ts';
import type { BalancingOptions } from '../model/balancing-options.ts';
import type { LoadBalancedService } from '../model/load-balanced-service.ts';
import { ANNOTATION } from '../model/names.ts';
import type { Scheduler, SchedulerFlag } from '../model/virtual-server.ts';

/** The options of the pool with the overrides of the Service, and what of them does not fit together. */
export interface EffectiveBalancing extends BalancingOptions {
  readonly problems: readonly string[];
  /** What a person should know although it works. */
  readonly notes: readonly string[];
}

/**
 * How the virtual servers of a Service shall balance.
 *
 * `mh` always gets `mh-fallback` and `sh` always `sh-fallback`: without it clients of a real server at weight 0, such as one that
 * drains, are refused (measured on Linux 6.1). `mh` gets `mh-port` too unless the user chose flags or clients shall stick. With sessionAffinity ClientIP the scheduler is `mh`
 * without `mh-port`, whatever was chosen: directors do not share persistence, so the choice must be a function of the
 * client's address that is equal on every director.
 */
export function effectiveBalancing(pool: AddressPool, service: LoadBalancedService): EffectiveBalancing {
  const { overrides } = service;
  const scheduler = overrides.scheduler ?? pool.balancing.scheduler;
  // Flags of the pool belong to the pool's scheduler; they say nothing about another one.
  const inherited = scheduler === pool.balancing.scheduler ? pool.balancing.schedulerFlags : [];
  const chosen = overrides.schedulerFlags ?? inherited;
  const thresholds = {
    upper: overrides.upperThreshold ?? pool.balancing.connectionThresholds.upper,
    lower: overrides.lowerThreshold ?? pool.balancing.connectionThresholds.lower,
  };
  const options = {
    ...pool.balancing,
    forwardingMethod: overrides.forwardingMethod ?? pool.balancing.forwardingMethod,
    backends: overrides.backends ?? pool.balancing.backends,
    connectionThresholds: thresholds,
    udpOnePacket: overrides.udpOnePacket ?? pool.balancing.udpOnePacket,
    weights: overrides.weights ?? pool.balancing.weights,
    drainSeconds: overrides.drainSeconds ?? pool.balancing.drainSeconds,
  };
  const impossible: string[] = [];
  const notes: string[] = [];
  if (losesItsAnswers(options, service)) notes.push(ANSWERS_LOST);
  if (options.backends === 'Pods' && options.forwardingMethod === 'DirectRouting')
    impossible.push(PODS_BY_DIRECT_ROUTING);
  if (thresholds.lower > thresholds.upper) impossible.push(thresholdsReversed(thresholds));
  if (service.clientIpAffinitySeconds !== undefined) {
    if (overrides.scheduler !== undefined && overrides.scheduler !== 'mh')
      notes.push(
        `Scheduler ${overrides.scheduler} is not used: sessionAffinity ClientIP needs mh, so that every director chooses the same real server for a client.`,
      );
    return { ...options, scheduler: 'mh', schedulerFlags: ['mh-fallback'], problems: impossible, notes };
  }
  const { flags, problems } = usableFlags(scheduler, chosen);
  return { ...options, scheduler, schedulerFlags: flags, problems: [...impossible, ...problems], notes };
}

/** The kernel keeps no entry of such a datagram by which to translate what comes back (seen on Linux 6.1 and 6.12). */
function losesItsAnswers(
  { udpOnePacket, forwardingMethod }: BalancingOptions,
  { ports }: LoadBalancedService,
): boolean {
  return udpOnePacket && forwardingMethod === 'Masquerading' && ports.some(({ protocol }) => protocol === 'UDP');
}

const ANSWERS_LOST =
  'UDP is scheduled by one packet with Masquerading: clients do not get answers from the VIP. Use DirectRouting or Tunneling unless nobody answers.';

const PODS_BY_DIRECT_ROUTING = `Pods cannot be reached by DirectRouting: set the annotation ${ANNOTATION.forwardingMethod} to Masquerading or Tunneling, or ${ANNOTATION.backends} to Nodes.`;

function thresholdsReversed({ upper, lower }: EffectiveBalancing['connectionThresholds']): string {
  return `The lower threshold ${lower} of connections exceeds the upper one ${upper}: lower the annotation ${ANNOTATION.lowerThreshold} or raise ${ANNOTATION.upperThreshold}.`;
}

/**
 * The `ipMode` to publish. With direct routing and tunnels the node sees the VIP as destination and kube-proxy takes the packet only for
 * `VIP`; with masquerading to a node port `Proxy` keeps kube-proxy from short-circuiting the address, unless the pool says
 * otherwise (KEP-1860).
 */
export function ipModeOf(pool: AddressPool, service: LoadBalancedService): 'VIP' | 'Proxy' {
  const method = service.overrides.forwardingMethod ?? pool.balancing.forwardingMethod;
  return method === 'Masquerading' ? (pool.ipMode ?? 'Proxy') : 'VIP';
}

/** flag-1 and flag-2 are other names of the first two bits (ip_vs.h IP_VS_SVC_F_SCHED1, 2); one name per bit keeps tables comparable. */
const NAMED_BITS: Partial<Record<Scheduler, Partial<Record<SchedulerFlag, SchedulerFlag>>>> = {
  mh: { 'flag-1': 'mh-fallback', 'flag-2': 'mh-port' },
  sh: { 'flag-1': 'sh-fallback', 'flag-2': 'sh-port' },
};

function usableFlags(
  scheduler: Scheduler,
  chosen: readonly SchedulerFlag[],
): { readonly flags: readonly SchedulerFlag[]; readonly problems: readonly string[] } {
  const problems: string[] = [];
  const flags = new Set<SchedulerFlag>();
  for (const flag of chosen) {
    const owner = flag.startsWith('flag-') ? scheduler : flag.slice(0, 2);
    if (owner === scheduler) flags.add(NAMED_BITS[scheduler]?.[flag] ?? flag);
    else
      problems.push(
        `Scheduler flag ${flag} does not belong to scheduler ${scheduler}: remove the flag or use scheduler ${owner}.`,
      );
  }
  if (scheduler === 'mh') {
    flags.add('mh-fallback');
    if (chosen.length === 0) flags.add('mh-port');
  }
  if (scheduler === 'sh') flags.add('sh-fallback');
  return { flags: [...flags].sort(), problems };
}
