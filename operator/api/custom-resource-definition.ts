import { z } from 'zod';
import { API_GROUP, API_VERSION } from '../model/names.ts';
import { structural } from './structural-schema.ts';

/** A column of `kubectl get`; priority 1 shows with `-o wide` only. */
export interface PrinterColumn {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'boolean' | 'date';
  readonly jsonPath: string;
  readonly description?: string;
  readonly priority?: number;
}

/** One resource of our group. */
export interface ResourceDefinition {
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly description: string;
  readonly spec: z.ZodType;
  readonly specDescription: string;
  readonly status: z.ZodType;
  readonly columns: readonly PrinterColumn[];
}

/** The CustomResourceDefinition (apiextensions.k8s.io/v1) of a resource: cluster-scoped, one version, status subresource. */
export function customResourceDefinition(resource: ResourceDefinition): object {
  const { kind, plural, singular, shortNames, columns } = resource;
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${API_GROUP}` },
    spec: {
      group: API_GROUP,
      names: { kind, listKind: `${kind}List`, plural, singular, shortNames, categories: ['ipvs'] },
      scope: 'Cluster',
      versions: [
        {
          name: API_VERSION,
          served: true,
          storage: true,
          schema: { openAPIV3Schema: objectSchema(resource) },
          subresources: { status: {} },
          additionalPrinterColumns: columns,
        },
      ],
    },
  };
}

function objectSchema({ description, spec, specDescription, status }: ResourceDefinition): object {
  return {
    type: 'object',
    description,
    required: ['spec'],
    properties: {
      apiVersion: { type: 'string', description: 'Version of the schema of this object.' },
      kind: { type: 'string', description: 'Kind of this object.' },
      metadata: { type: 'object' },
      spec: { description: specDescription, ...openApi(spec) },
      status: { description: 'What is, as the operator last saw it.', ...openApi(status) },
    },
  };
}

function openApi(schema: z.ZodType): object {
  return structural(z.toJSONSchema(schema, { target: 'openapi-3.0', io: 'input', reused: 'inline' }));
}
