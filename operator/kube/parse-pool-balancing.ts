import type { z } from 'zod';
import type { loadBalancerPoolSpec } from '../api/load-balancer-pool.ts';
import { NETMASKS } from '../api/pool-balancing.ts';
import { parseDuration } from '../lib/parse-duration.ts';
import { type BalancingOptions, LONGEST_DRAIN_SECONDS } from '../model/balancing-options.ts';
import { type ConnectionTimeouts, LONGEST_TIMEOUT_SECONDS } from '../model/host-settings.ts';
import type { Tunnel } from '../model/virtual-server.ts';

type Spec = z.output<typeof loadBalancerPoolSpec>;

/** How a pool's virtual servers balance. Call it for a spec without {@link balancingProblems}. */
export function balancingOptions(spec: Spec): BalancingOptions {
  const { forwardingMethod, backends, snat, scheduler, connectionThresholds, udpOnePacket, weights, drain } = spec;
  const mssClamp = spec.tunnel?.mssClamp;
  return {
    forwardingMethod,
    backends,
    tunnel: parseTunnel(spec),
    ...(mssClamp !== undefined && { mssClamp }),
    snat,
    scheduler,
    schedulerFlags: spec.schedulerFlags ?? [],
    connectionThresholds,
    udpOnePacket,
    ...(spec.timeouts && { timeouts: parseTimeouts(spec.timeouts) }),
    persistencePrefixLength: 32 - NETMASKS.indexOf(spec.persistenceNetmask),
    weights,
    ...(spec.nodeSubset !== undefined && { nodeSubset: spec.nodeSubset }),
    drainSeconds: parseDuration(drain.timeout) ?? 0,
  };
}

/** What of a spec does not fit together, one sentence each: the rules of the schema, for objects that are older than a rule. */
export function balancingProblems(spec: Spec): readonly string[] {
  const { schedulerFlags = [], scheduler, connectionThresholds, drain, ipMode, forwardingMethod } = spec;
  const problems: string[] = [];
  const alien = schedulerFlags.filter((flag) => !flag.startsWith('flag-') && !flag.startsWith(`${scheduler}-`));
  if (alien.length > 0)
    problems.push(
      `spec.schedulerFlags: ${alien.join(', ')} does not belong to scheduler ${scheduler}; remove the flag or change the scheduler.`,
    );
  if (connectionThresholds.lower > connectionThresholds.upper)
    problems.push('spec.connectionThresholds: lower must not exceed upper; raise upper or lower lower.');
  const drainSeconds = parseDuration(drain.timeout);
  if (drainSeconds === undefined || drainSeconds > LONGEST_DRAIN_SECONDS)
    problems.push(
      `spec.drain.timeout: '${drain.timeout}' is no duration up to 24h; write for example 30s, 5m or 1h30m.`,
    );
  if (ipMode === 'Proxy' && forwardingMethod !== 'Masquerading')
    problems.push(`spec.ipMode: Proxy does not work with ${forwardingMethod}; remove ipMode or use Masquerading.`);
  problems.push(...forwardingProblems(spec), ...backendProblems(spec), ...timeoutProblems(spec));
  return problems;
}

function forwardingProblems({ tunnel, snat, forwardingMethod }: Spec): readonly string[] {
  const problems: string[] = [];
  if (tunnel !== undefined && forwardingMethod !== 'Tunneling')
    problems.push('spec.tunnel: belongs to forwardingMethod Tunneling; remove tunnel or change forwardingMethod.');
  if (tunnel !== undefined && (tunnel.port !== undefined) !== (tunnel.type === 'gue'))
    problems.push('spec.tunnel.port: type gue needs it, and no other type has one; add or remove port.');
  if (tunnel?.checksum === true && tunnel.type === 'ipip')
    problems.push('spec.tunnel.checksum: type ipip has none; use gue or gre, or remove checksum.');
  if (tunnel?.remoteChecksum === true && tunnel.type !== 'gue')
    problems.push('spec.tunnel.remoteChecksum: only type gue has it; use gue, or remove remoteChecksum.');
  if (tunnel?.remoteChecksum === true && tunnel.checksum)
    problems.push('spec.tunnel.remoteChecksum: it makes the checksum of the tunnel header as well; remove checksum.');
  if (snat && forwardingMethod !== 'Masquerading')
    problems.push(`spec.snat: does not work with ${forwardingMethod}; remove snat or use Masquerading.`);
  return problems;
}

function backendProblems({ backends, forwardingMethod, weights, nodeSelector, nodeSubset }: Spec): readonly string[] {
  if (backends === 'Nodes') return [];
  const problems: string[] = [];
  if (forwardingMethod === 'DirectRouting')
    problems.push('spec.backends: Pods cannot be reached by DirectRouting; use Masquerading or Tunneling.');
  if (weights !== 'Equal') problems.push(`spec.weights: ${weights} has no meaning with backends Pods; remove weights.`);
  if (nodeSelector !== undefined)
    problems.push('spec.nodeSelector: has no meaning with backends Pods; remove nodeSelector or use backends Nodes.');
  if (nodeSubset !== undefined)
    problems.push('spec.nodeSubset: has no meaning with backends Pods; remove nodeSubset or use backends Nodes.');
  return problems;
}

function timeoutProblems({ timeouts }: Spec): readonly string[] {
  return Object.entries(timeouts ?? {}).flatMap(([name, text]) => {
    const seconds = parseDuration(text) ?? 0;
    if (seconds >= 1 && seconds <= LONGEST_TIMEOUT_SECONDS) return [];
    return [`spec.timeouts.${name}: '${text}' is no duration from 1s to 744h; write for example 30s, 5m or 1h30m.`];
  });
}

function parseTimeouts({ tcp, tcpFin, udp }: NonNullable<Spec['timeouts']>): ConnectionTimeouts {
  const seconds = (text: string) => parseDuration(text) ?? 0;
  return { tcpSeconds: seconds(tcp), tcpFinSeconds: seconds(tcpFin), udpSeconds: seconds(udp) };
}

function parseTunnel({ tunnel }: Spec): Tunnel {
  if (tunnel === undefined) return { type: 'ipip', checksum: false };
  const { type, port, checksum, remoteChecksum } = tunnel;
  return { type, ...(port !== undefined && { port }), checksum, ...(remoteChecksum && { remoteChecksum }) };
}
