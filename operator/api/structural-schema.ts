type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** zod bounds every integer by what a JavaScript number can hold; the API server has its own idea. */
const SAFE_INTEGER_BOUNDS = { minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER };

/**
 * Turns the JSON Schema that zod writes into a structural schema, the only kind a CustomResourceDefinition accepts:
 * unknown fields are pruned by the API server, so `additionalProperties: false` goes; date-time is checked by format, so
 * its pattern goes; and integers get `format: int64`.
 *
 * https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
 */
export function structural(schema: object): object {
  return convertSchema(schema as { readonly [key: string]: Json });
}

function convertSchema(schema: { readonly [key: string]: Json }): { [key: string]: Json } {
  const converted: { [key: string]: Json } = {};
  for (const [keyword, value] of Object.entries(schema)) {
    if (keyword === 'additionalProperties' && value === false) continue;
    if (keyword === 'pattern' && schema.format === 'date-time') continue;
    if (isSafeIntegerBound(keyword, value)) continue;
    converted[keyword] = convertKeyword(keyword, value);
  }
  if (converted.type === 'integer') converted.format = 'int64';
  return converted;
}

function convertKeyword(keyword: string, value: Json): Json {
  if (keyword === 'items' || keyword === 'additionalProperties') return isObject(value) ? convertSchema(value) : value;
  if (keyword !== 'properties' || !isObject(value)) return value;
  const properties = Object.entries(value).map(([name, schema]) => [
    name,
    isObject(schema) ? convertSchema(schema) : schema,
  ]);
  return Object.fromEntries(properties) as Json;
}

function isSafeIntegerBound(keyword: string, value: Json): boolean {
  return (keyword === 'minimum' || keyword === 'maximum') && value === SAFE_INTEGER_BOUNDS[keyword];
}

function isObject(value: Json): value is { readonly [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
