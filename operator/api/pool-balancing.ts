import { z } from 'zod';
import { BACKENDS, WEIGHTS } from '../model/balancing-options.ts';
import { FORWARDING_METHODS, SCHEDULER_FLAGS, SCHEDULERS, TUNNEL_TYPES } from '../model/virtual-server.ts';
import { checkedBy, SET, type ValidationRule } from './validation.ts';

/** Every mask ipvsadm --netmask accepts for IPv4, 255.255.255.255 first. */
export const NETMASKS = Array.from({ length: 32 }, (_, index) => netmask(32 - index));

function netmask(prefixLength: number): string {
  const bits = (0xffffffff << (32 - prefixLength)) >>> 0;
  return [24, 16, 8, 0].map((shift) => (bits >>> shift) & 0xff).join('.');
}

/** A duration as the API server's CEL and people write it, in whole seconds. */
const DURATION = "self.matches('^([0-9]{1,5}[hms])+$')";

const drain = z.strictObject({
  timeout: z
    .string()
    .min(2)
    .max(16)
    .default('30s')
    .describe(
      'A node that leaves gets no new connections and stays until those it has have ended, at most so long: a duration such as 30s, 5m or 1h30m, up to 24h. 0s removes it at once, which cuts them.',
    )
    .meta(
      checkedBy(
        {
          rule: DURATION,
          message: 'not a duration: write hours, minutes and seconds such as 30s, 5m or 1h30m',
          messageExpression:
            '"\'" + self + "\' is not a duration: write hours, minutes and seconds such as 30s, 5m or 1h30m"',
        },
        { rule: `!${DURATION} || duration(self) <= duration('24h')`, message: 'drain.timeout: at most 24h' },
      ),
    ),
});

const connectionThresholds = z
  .strictObject({
    upper: z
      .int()
      .min(0)
      .max(2147483647)
      .default(0)
      .describe('Connections above which a real server gets no new ones; 0 is no limit.'),
    lower: z
      .int()
      .min(0)
      .max(2147483647)
      .default(0)
      .describe('Connections below which it gets new ones again; 0 is three quarters of upper, as the kernel does.'),
  })
  .meta(
    checkedBy({
      rule: 'self.lower <= self.upper',
      message: 'lower must not exceed upper: lower is where a real server is used again; raise upper or lower lower',
    }),
  );

const tunnel = z
  .strictObject({
    type: z
      .enum(TUNNEL_TYPES)
      .default('ipip')
      .describe('ipip: IP in IP. gue: Generic UDP Encapsulation, needs port. gre: Generic Routing Encapsulation.'),
    port: z
      .int()
      .min(1)
      .max(65535)
      .optional()
      .describe('UDP port at which the nodes decapsulate; with gue, and only then.'),
    checksum: z.boolean().default(false).describe('Checksums in the tunnel header; with gue and gre only.'),
    remoteChecksum: z
      .boolean()
      .default(false)
      .describe(
        'Remote checksum offload: the nodes make the inner checksum, and the tunnel header has one; with gue only.',
      ),
    mssClamp: z
      .int()
      .min(536)
      .max(65495)
      .optional()
      .describe(
        'Greatest TCP segment that directors let clients announce, in bytes, so that encapsulated packets fit the network; absent: as announced. Usual: MTU - 60 for ipip over IPv4.',
      ),
  })
  .meta(
    checkedBy(
      {
        rule: "has(self.port) == (self.type == 'gue')",
        message:
          'port: a tunnel of type gue needs the UDP port of the nodes, and no other type has one; add or remove port',
      },
      {
        rule: "!self.checksum || self.type != 'ipip'",
        message: 'checksum: a tunnel of type ipip has none; use gue or gre, or remove checksum',
      },
      {
        rule: "!self.remoteChecksum || self.type == 'gue'",
        message: 'remoteChecksum: only a tunnel of type gue has it; use gue, or remove remoteChecksum',
      },
      {
        rule: '!self.remoteChecksum || !self.checksum',
        message: 'remoteChecksum: it makes the checksum of the tunnel header as well; remove checksum',
      },
    ),
  );

const timeout = (what: string, usual: string) =>
  z
    .string()
    .min(2)
    .max(16)
    .default(usual)
    .describe(`${what}: a duration such as 30s, 5m or 1h30m, up to 744h.`)
    .meta(
      checkedBy(
        {
          rule: DURATION,
          message: 'not a duration: write hours, minutes and seconds such as 30s, 5m or 1h30m',
          messageExpression:
            '"\'" + self + "\' is not a duration: write hours, minutes and seconds such as 30s, 5m or 1h30m"',
        },
        {
          rule: `!${DURATION} || (duration(self) >= duration('1s') && duration(self) <= duration('744h'))`,
          message: 'timeouts: each at least 1s and at most 744h',
        },
      ),
    );

const timeouts = z.strictObject({
  tcp: timeout('An idle TCP connection', '15m'),
  tcpFin: timeout('A TCP connection after FIN', '2m'),
  udp: timeout('A client and port of UDP without packets', '5m'),
});

/** The fields of a LoadBalancerPool spec that say how its virtual servers balance. */
export const poolBalancing = {
  forwardingMethod: z
    .enum(FORWARDING_METHODS)
    .default('DirectRouting')
    .describe(
      'How a director hands packets to a node. DirectRouting: same packet to the MAC address of the node, replies bypass the director; director and nodes share a network. Tunneling: the packet inside another one, over any network, replies bypass the director; the node must decapsulate. Masquerading: address and port are translated to a node port, replies return through the director.',
    ),
  tunnel: tunnel.optional().describe('How packets are encapsulated; with forwardingMethod Tunneling. Absent: ipip.'),
  backends: z
    .enum(BACKENDS)
    .default('Nodes')
    .describe(
      'What the real servers are. Nodes: kube-proxy there goes on to a pod. Pods: the ready pods themselves, at their own ports, without kube-proxy; directors must reach the pod network. Not with DirectRouting.',
    ),
  snat: z
    .boolean()
    .default(false)
    .describe(
      "With forwardingMethod Masquerading: packets get the director's source address, so that replies return through it wherever the default route of the nodes leads. Nodes and pods then do not see the client's address.",
    ),
  scheduler: z
    .enum(SCHEDULERS)
    .default('mh')
    .describe('IPVS scheduler as in ipvsadm(8). Only mh and sh choose equally on all directors.'),
  schedulerFlags: z
    .array(z.enum(SCHEDULER_FLAGS))
    .max(3)
    .optional()
    .describe(
      'Scheduler flags as in ipvsadm(8). mh always has mh-fallback, and mh-port too when no flag is given; sh always has sh-fallback.',
    )
    .meta(SET),
  connectionThresholds: connectionThresholds
    .default({ upper: 0, lower: 0 })
    .describe('Limits of connections per real server.'),
  udpOnePacket: z
    .boolean()
    .default(false)
    .describe('One-packet scheduling of UDP ports: each datagram is scheduled alone, without a connection entry.'),
  timeouts: timeouts
    .optional()
    .describe(
      'How long directors remember idle connections, as ipvsadm --set. The kernel has one set for all virtual servers: of several pools on one director the oldest that has timeouts decides. Absent: left as the host has them.',
    ),
  persistenceNetmask: z
    .enum(NETMASKS as [string, ...string[]])
    .default('255.255.255.255')
    .describe('With sessionAffinity ClientIP, clients equal under this mask stick together. IPv4 only.'),
  weights: z
    .enum(WEIGHTS)
    .default('Equal')
    .describe('Weights of the nodes: all 1, or the number of ready pods of the Service on the node.'),
  nodeSubset: z
    .int()
    .min(1)
    .max(10000)
    .optional()
    .describe(
      'At most so many nodes are real servers of a Service, chosen for each Service by hashing: in large clusters tables stay small, and a node more or less concerns only its share of the Services. Absent: all nodes.',
    ),
  drain: drain
    .default({ timeout: '30s' })
    .describe(
      'What happens to a node or pod that leaves the table of a Service, unless it is dead: then it goes at once.',
    ),
  ipMode: z
    .enum(['VIP', 'Proxy'])
    .optional()
    .describe('ipMode to publish with Masquerading; derived when absent: Proxy with Masquerading, else VIP.'),
};

/** What these fields must not say together. */
export const BALANCING_RULES: readonly ValidationRule[] = [
  {
    rule: "!has(self.schedulerFlags) || self.schedulerFlags.all(f, f.startsWith('flag-') || f.startsWith(self.scheduler + '-'))",
    message:
      'schedulerFlags: mh-* flags belong to scheduler mh, sh-* flags to scheduler sh; remove the flag or change the scheduler',
  },
  {
    rule: "!has(self.ipMode) || self.ipMode != 'Proxy' || self.forwardingMethod == 'Masquerading'",
    message:
      'ipMode: with DirectRouting and Tunneling packets reach the node with the VIP as destination, and kube-proxy takes them only when ipMode is VIP; remove ipMode or use Masquerading',
  },
  {
    rule: "!has(self.tunnel) || self.forwardingMethod == 'Tunneling'",
    message: 'tunnel: belongs to forwardingMethod Tunneling; remove tunnel or change forwardingMethod',
  },
  {
    rule: "!self.snat || self.forwardingMethod == 'Masquerading'",
    message:
      'snat: with DirectRouting and Tunneling replies bypass the director, so that it has nothing to masquerade; remove snat or use Masquerading',
  },
  {
    rule: "self.backends == 'Nodes' || self.forwardingMethod != 'DirectRouting'",
    message:
      'backends: pods are on no layer-2 network with the directors and do not take the VIP, so that DirectRouting cannot reach them; use Masquerading or Tunneling, or backends Nodes',
  },
  {
    rule: "self.backends == 'Nodes' || self.weights == 'Equal'",
    message: 'weights: ReadyPods counts the pods of a node; with backends Pods each has weight 1; remove weights',
  },
  {
    rule: "self.backends == 'Nodes' || !has(self.nodeSelector)",
    message:
      'nodeSelector: with backends Pods the pods of all nodes are used; remove nodeSelector or use backends Nodes',
  },
  {
    rule: "self.backends == 'Nodes' || !has(self.nodeSubset)",
    message: 'nodeSubset: with backends Pods the real servers are pods; remove nodeSubset or use backends Nodes',
  },
];
