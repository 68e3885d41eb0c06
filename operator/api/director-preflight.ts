import { z } from 'zod';

/** Director status.preflight; see PreflightCheck in operator/model/preflight-check.ts. */
export const preflight = z
  .array(
    z.strictObject({
      name: z.string().describe('What was looked at.'),
      verdict: z.enum(['ok', 'warning', 'failed']).describe('failed: the host cannot be a director.'),
      message: z.string().describe('What was found.'),
      remedy: z.string().describe('What to do, if anything.'),
    }),
  )
  .describe('What the helper found when it looked at its host: soon after each session begins, and every six hours.')
  .meta({ 'x-kubernetes-list-type': 'atomic' });
