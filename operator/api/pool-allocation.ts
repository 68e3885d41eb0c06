import { z } from 'zod';
import { labelSelector } from './common-schemas.ts';
import { checkedBy, mapBy, SET } from './validation.ts';

/** Who may use a pool. */
export const serviceAllocation = z.strictObject({
  priority: z
    .int()
    .min(0)
    .max(2147483647)
    .default(0)
    .describe(
      'Of several pools that may serve a Service the one with the lower priority is tried first; 0 comes last.',
    ),
  namespaces: z
    .array(z.string().min(1).max(63))
    .max(256)
    .optional()
    .describe('Namespaces whose Services may use the pool; together with namespaceSelectors. Both empty: all.')
    .meta(SET),
  namespaceSelectors: z
    .array(labelSelector)
    .max(32)
    .optional()
    .describe('Labels of namespaces whose Services may use the pool; one match is enough.'),
  serviceSelectors: z
    .array(labelSelector)
    .max(32)
    .optional()
    .describe('Labels of Services that may use the pool; one match is enough. Empty: all.'),
  quotaPerNamespace: z
    .int()
    .min(0)
    .max(2147483647)
    .default(0)
    .describe(
      'Different addresses of the pool that the Services of one namespace may have, also when they ask for them; 0 is no limit.',
    ),
  sharingAcrossNamespaces: z
    .boolean()
    .default(false)
    .describe(
      'Whether Services of different namespaces with the same annotation allow-shared-ip may share an address.',
    ),
});

/** Addresses kept for Services. */
export const reservations = z
  .array(
    z.strictObject({
      address: z.string().min(2).max(45).describe('An address of this pool.'),
      service: z
        .string()
        .min(3)
        .max(127)
        .describe('namespace/name of the Service that gets it; it need not exist yet.')
        .meta(
          checkedBy({
            rule: "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?/[a-z]([-a-z0-9]*[a-z0-9])?$')",
            message: 'not namespace/name of a Service: write for example shop/web',
            messageExpression: '"\'" + self + "\' is not namespace/name of a Service: write for example shop/web"',
          }),
        ),
    }),
  )
  .max(256)
  .meta(mapBy('address'));

const DURATION = "self.matches('^([0-9]{1,5}[hms])+$')";

/** How long a released address is held. */
export const releaseDelay = z
  .string()
  .min(2)
  .max(16)
  .default('0s')
  .meta(
    checkedBy(
      {
        rule: DURATION,
        message: 'not a duration: write hours, minutes and seconds such as 30s, 5m or 1h30m',
        messageExpression:
          '"\'" + self + "\' is not a duration: write hours, minutes and seconds such as 30s, 5m or 1h30m"',
      },
      { rule: `!${DURATION} || duration(self) <= duration('720h')`, message: 'releaseDelay: at most 720h' },
    ),
  );

/** Addresses that are held, in the status of a pool. */
export const heldAddresses = z.array(
  z.strictObject({
    address: z.string().describe('The address.'),
    service: z.string().describe('namespace/name of the Service that had it, and gets it back when it returns.'),
    until: z.iso.datetime().describe('When it comes free.'),
    reason: z.string().describe('Why it is held: Released.'),
  }),
);
