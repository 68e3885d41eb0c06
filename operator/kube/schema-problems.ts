import type { z } from 'zod';

/** One sentence per problem that a schema found in `spec`, each beginning with the path of the field. */
export function schemaProblems(error: z.ZodError): readonly string[] {
  return error.issues.map(({ path, message }) => `${['spec', ...path].join('.')}: ${message}.`);
}
