import assert from 'node:assert/strict';
import { z } from 'zod';
import { customResourceDefinition } from '../../../operator/api/custom-resource-definition.ts';
import { DIRECTOR } from '../../../operator/api/director.ts';
import { LOAD_BALANCER_POOL } from '../../../operator/api/load-balancer-pool.ts';
import { structural } from '../../../operator/api/structural-schema.ts';
import { checkedBy, SET } from '../../../operator/api/validation.ts';

const convert = (schema: z.ZodType) =>
  structural(z.toJSONSchema(schema, { target: 'openapi-3.0', io: 'input', reused: 'inline' }));

describe('structural', () => {
  const rows: readonly [what: string, schema: z.ZodType, expected: object][] = [
    ['an integer', z.int(), { type: 'integer', format: 'int64' }],
    ['a bounded integer', z.int().min(0).max(9), { type: 'integer', format: 'int64', minimum: 0, maximum: 9 }],
    ['a time', z.iso.datetime(), { type: 'string', format: 'date-time' }],
    ['a map', z.record(z.string(), z.string()), { type: 'object', additionalProperties: { type: 'string' } }],
    [
      'a list with rules',
      z.array(z.string().meta(checkedBy({ rule: 'isIP(self)', message: 'm' }))).meta(SET),
      {
        type: 'array',
        'x-kubernetes-list-type': 'set',
        items: { type: 'string', 'x-kubernetes-validations': [{ rule: 'isIP(self)', message: 'm' }] },
      },
    ],
    [
      'an object with a field called like a keyword',
      z.strictObject({ pattern: z.string(), additionalProperties: z.boolean().default(false) }),
      {
        type: 'object',
        required: ['pattern'],
        properties: { pattern: { type: 'string' }, additionalProperties: { type: 'boolean', default: false } },
      },
    ],
  ];
  for (const [what, schema, expected] of rows) it(what, () => assert.deepEqual(convert(schema), expected));
});

/** Every schema in a CRD, with its path. */
function* schemasOf(
  schema: Record<string, unknown>,
  path: string,
): Generator<readonly [string, Record<string, unknown>]> {
  yield [path, schema];
  for (const [name, child] of Object.entries((schema.properties ?? {}) as Record<string, Record<string, unknown>>))
    yield* schemasOf(child, `${path}.${name}`);
  if (typeof schema.items === 'object') yield* schemasOf(schema.items as Record<string, unknown>, `${path}[]`);
}

describe('customResourceDefinition', () => {
  for (const resource of [LOAD_BALANCER_POOL, DIRECTOR]) {
    const crd = customResourceDefinition(resource) as {
      spec: { versions: { schema: { openAPIV3Schema: Record<string, unknown> } }[] };
    };
    const root = crd.spec.versions[0]?.schema.openAPIV3Schema ?? {};
    const all = [...schemasOf(root, resource.kind)];

    it(`${resource.kind} explains every field`, () => {
      const silent = all.filter(
        ([path, { description }]) => !path.endsWith('[]') && !path.endsWith('.metadata') && !description,
      );
      assert.deepEqual(
        silent.map(([path]) => path),
        [],
      );
    });

    it(`${resource.kind} has a sentence for every rule, with a remedy`, () => {
      const rules = all.flatMap(([, schema]) => (schema['x-kubernetes-validations'] ?? []) as { message: string }[]);
      assert.ok(rules.length > 3);
      for (const { message } of rules) assert.match(message, /[:;] /, message);
    });

    it(`${resource.kind} says how every list is merged`, () => {
      const lists = all.filter(
        ([path, { type }]) => type === 'array' && !/(Selectors|matchExpressions|values|capabilities)$/.test(path),
      );
      for (const [path, schema] of lists) assert.ok(schema['x-kubernetes-list-type'], path);
    });
  }
});
