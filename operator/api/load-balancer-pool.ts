import { z } from 'zod';
import { conditions, labelSelector } from './common-schemas.ts';
import type { ResourceDefinition } from './custom-resource-definition.ts';
import { heldAddresses, releaseDelay, reservations, serviceAllocation } from './pool-allocation.ts';
import { BALANCING_RULES, poolBalancing } from './pool-balancing.ts';
import { checkedBy, mapBy, SET } from './validation.ts';

const IS_RANGE = "self.contains('-')";
const FIRST = "self.split('-')[0].trim()";
const LAST = "self.split('-')[1].trim()";

/** The value of an IPv4 address in CEL, which cannot compare addresses. Reversed IPv6 ranges are found by the operator. */
function ipv4Number(text: string): string {
  const octets = [16777216, 65536, 256, 1].map((factor, index) => `int(${text}.split('.')[${index}]) * ${factor}`);
  return `(${octets.join(' + ')})`;
}

/** Rules that each cover one spelling are trivially true for the others, so that a mistake gives one message. */
const addressBlock = z
  .string()
  .min(2)
  .max(83)
  .meta(
    checkedBy(
      {
        rule: `${IS_RANGE} ? self.split('-').size() == 2 && isIP(${FIRST}) && isIP(${LAST}) : self.contains('/') ? isCIDR(self) : isIP(self)`,
        message:
          'not an address, a CIDR or a range a-b: write for example 192.0.2.10, 192.0.2.0/28 or 192.0.2.10-192.0.2.20',
        messageExpression:
          '"\'" + self + "\' is not an address, a CIDR or a range a-b: write for example 192.0.2.10, 192.0.2.0/28 or 192.0.2.10-192.0.2.20"',
      },
      {
        rule: `!isCIDR(self) || cidr(self) == cidr(self).masked()`,
        message: 'the CIDR has bits set behind its prefix: write the network address, or a range a-b for a part of it',
        messageExpression:
          '"\'" + self + "\' has bits set behind its prefix: write the network address, or a range a-b for a part of it"',
      },
      {
        rule: `!${IS_RANGE} || self.split('-').size() != 2 || !isIP(${FIRST}) || !isIP(${LAST}) || ip(${FIRST}).family() == ip(${LAST}).family()`,
        message: 'first and last address of the range are of different families: write one range per family',
      },
      {
        rule:
          `!${IS_RANGE} || self.split('-').size() != 2 || !isIP(${FIRST}) || !isIP(${LAST}) || ip(${FIRST}).family() != 4 || ip(${LAST}).family() != 4 || ` +
          `${ipv4Number(LAST)} >= ${ipv4Number(FIRST)}`,
        message: 'the range is reversed, its first address lies behind its last: exchange them',
        messageExpression: '"\'" + self + "\' is reversed, its first address lies behind its last: exchange them"',
      },
      {
        rule: `isIP(self) ? ip(self).isGlobalUnicast() : isCIDR(self) ? cidr(self).ip().isGlobalUnicast() : ${IS_RANGE} && self.split('-').size() == 2 && isIP(${FIRST}) && isIP(${LAST}) ? ip(${FIRST}).isGlobalUnicast() && ip(${LAST}).isGlobalUnicast() : true`,
        message:
          'loopback, link-local, multicast, broadcast and unspecified addresses cannot be VIPs: use unicast addresses that are routed to the directors',
      },
    ),
  );

const excludedBlock = addressBlock;

/** LoadBalancerPool spec, as the API server stores it after defaulting. */
export const loadBalancerPoolSpec = z
  .strictObject({
    addresses: z
      .array(addressBlock)
      .min(1)
      .max(64)
      .describe('Addresses to hand out: CIDR, range a-b or single address, IPv4 and IPv6 mixed.')
      .meta(SET),
    excludedAddresses: z
      .array(excludedBlock)
      .max(64)
      .optional()
      .describe('Addresses never handed out, such as the gateway; same spelling as addresses.')
      .meta(SET),
    avoidBuggyIPs: z
      .boolean()
      .default(false)
      .describe('Never hand out IPv4 addresses that end in .0 or .255, which some old equipment drops.'),
    autoAssign: z
      .boolean()
      .default(true)
      .describe('Whether Services that name neither pool nor address may get one of these addresses.'),
    paused: z
      .boolean()
      .default(false)
      .describe('While true, nothing new is handed out and no director is changed for this pool.'),
    serviceAllocation: serviceAllocation
      .optional()
      .describe('Which Services may use the pool; holds also for those that ask for it by name.'),
    reservations: reservations
      .optional()
      .describe('Addresses kept for one Service each, which may not exist yet; the pool admits that Service.'),
    releaseDelay: releaseDelay.describe(
      'How long the address of a deleted Service is held: a Service of the same namespace and name gets it back, and nobody else.',
    ),
    directors: z
      .strictObject({
        selector: labelSelector.describe(
          'Labels of the Directors; all of them carry the whole table of this pool. Empty: every Director.',
        ),
      })
      .describe('The hosts that balance for this pool.'),
    nodeSelector: labelSelector.optional().describe('Labels of the nodes that may be real servers. Absent: all nodes.'),
    ...poolBalancing,
  })
  .meta(checkedBy(...BALANCING_RULES));

const counter = z.int().min(0);

/** LoadBalancerPool status; see PoolStatus in operator/model/status.ts. */
export const loadBalancerPoolStatus = z.strictObject({
  observedGeneration: counter.optional().describe('Generation of the spec that this status was computed from.'),
  conditions: conditions.optional(),
  assignedIPv4: counter.optional().describe('IPv4 addresses given to Services.'),
  assignedIPv6: counter.optional().describe('IPv6 addresses given to Services.'),
  availableIPv4: z.string().optional().describe('Free IPv4 addresses.'),
  availableIPv6: z.string().optional().describe('Free IPv6 addresses; a text, because there may be more than 2^63.'),
  used: counter.optional().describe('Addresses given to Services, of both families.'),
  free: z.string().optional().describe('Free addresses, of both families; from a million on as a power of two.'),
  directors: z
    .array(
      z.strictObject({
        name: z.string().describe('Name of the Director.'),
        ready: z.boolean().describe('Whether publication of new addresses waits for it.'),
        appliedGeneration: counter.optional().describe('Generation of the last request it has carried out.'),
        tableHash: z.string().optional().describe('Hash of its table; equal tables have equal hashes.'),
        virtualServers: counter.describe('Virtual servers it holds for this operator.'),
        realServers: counter.describe('Real servers in them.'),
        lastSyncTime: z.iso.datetime().optional().describe('When it last confirmed a change.'),
        message: z.string().describe('What is wrong with it, if anything.'),
      }),
    )
    .optional()
    .describe('Every director that the pool selects.')
    .meta(mapBy('name')),
  directorsReady: z.string().optional().describe('Ready directors of selected ones, n/m.'),
  outside: counter.optional().describe('Services that keep an address which the pool no longer has.'),
  held: heldAddresses
    .optional()
    .describe('Released addresses that are held, those that come free first first.')
    .meta(mapBy('address')),
  virtualServers: counter.optional().describe('Virtual servers that the Services of this pool have on each director.'),
});

/** LoadBalancerPool: a set of addresses for Services, and how the directors balance them. */
export const LOAD_BALANCER_POOL: ResourceDefinition = {
  kind: 'LoadBalancerPool',
  plural: 'loadbalancerpools',
  singular: 'loadbalancerpool',
  shortNames: ['lbpool'],
  description:
    'Addresses for Services of type LoadBalancer, and how the directors that carry them balance. Of two pools with the same address the later one yields.',
  spec: loadBalancerPoolSpec,
  specDescription: 'What is wanted.',
  status: loadBalancerPoolStatus,
  columns: [
    { name: 'Ready', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
    {
      name: 'Directors',
      type: 'string',
      jsonPath: '.status.directorsReady',
      description: 'Ready directors of selected ones',
    },
    {
      name: 'VIPs',
      type: 'integer',
      jsonPath: '.status.virtualServers',
      description: 'Virtual servers on each director',
    },
    { name: 'Used', type: 'integer', jsonPath: '.status.used', description: 'Addresses given to Services' },
    { name: 'Free', type: 'string', jsonPath: '.status.free', description: 'Addresses that can be given' },
    { name: 'Method', type: 'string', jsonPath: '.spec.forwardingMethod' },
    { name: 'Scheduler', type: 'string', jsonPath: '.spec.scheduler' },
    { name: 'Paused', type: 'boolean', jsonPath: '.spec.paused', priority: 1 },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
  ],
};
