import { z } from 'zod';
import { checkedBy, mapBy } from './validation.ts';

const labelText = z.string().max(253);

/** metav1.LabelSelector. */
export const labelSelector = z
  .strictObject({
    matchLabels: z
      .record(z.string(), z.string().max(63))
      .optional()
      .describe('Labels that must all be present with these values.'),
    matchExpressions: z
      .array(
        z
          .strictObject({
            key: labelText.min(1).describe('Label key.'),
            operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist']).describe('How the key relates to the values.'),
            values: z.array(z.string().max(63)).max(64).optional().describe('For In and NotIn only.'),
          })
          .meta(
            checkedBy({
              rule: "self.operator in ['In', 'NotIn'] ? has(self.values) && self.values.size() > 0 : !has(self.values) || self.values.size() == 0",
              message:
                'values: In and NotIn need at least one value, Exists and DoesNotExist take none; add or remove values',
            }),
          ),
      )
      .max(32)
      .optional()
      .describe('Requirements that must all hold.'),
  })
  .meta({ 'x-kubernetes-map-type': 'atomic' });

/** metav1.Condition. */
export const conditions = z
  .array(
    z.strictObject({
      type: z.string().max(316).describe('What the condition is about.'),
      status: z.enum(['True', 'False', 'Unknown']).describe('Whether it holds.'),
      observedGeneration: z.int().min(0).optional().describe('Generation of the spec that this was computed from.'),
      lastTransitionTime: z.iso.datetime().describe('When status changed last.'),
      reason: z.string().min(1).max(1024).describe('Cause in one word; docs/conditions.md lists them all.'),
      message: z.string().max(32768).describe('What is, why, and what to do.'),
    }),
  )
  .describe('What is true of this object now, each with reason and sentence.')
  .meta(mapBy('type'));
