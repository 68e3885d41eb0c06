import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { parse } from 'yaml';
import { z } from 'zod';
import { ALIAS_GROUPS } from './kube/alias-annotations.ts';
import type { AddressRange } from './model/address-pool.ts';
import { parseAddressRange } from './model/address-range.ts';

const addressRange = z.string().transform((text, context): AddressRange => {
  const range = parseAddressRange(text);
  if (typeof range !== 'string') return range;
  context.addIssue({ code: 'custom', message: range });
  return z.NEVER;
});

/** The configuration file, YAML or JSON; every field has a default. */
const configFile = z.strictObject({
  logLevel: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
  /** Services of type LoadBalancer without a class are ours too. */
  claimUnclassed: z.boolean().default(false),
  /** Addresses that no pool ever gives: CIDRs, ranges or single addresses, such as a gateway. */
  neverAssign: z.array(addressRange).default([]),
  /** Other implementations whose annotations (addresses, pool, sharing key) are understood as ours. */
  aliases: z.array(z.enum(ALIAS_GROUPS)).default([]),
  /** A Service of ours that shows an address of a pool, written by another implementation, keeps it when it is free and permitted. */
  adoptIngress: z.boolean().default(false),
  /** How long kube-proxy on a node may take to program what it learns: so long the node waits for its first packets. Seconds, 0 … 600. */
  kubeProxy: z
    .strictObject({
      /** After a node was Ready for the first time. */
      newNodeSeconds: z.number().min(0).max(600).default(10),
      /** After a node got its first endpoint of a Service with externalTrafficPolicy Local, while another node serves. */
      newEndpointSeconds: z.number().min(0).max(600).default(3),
    })
    .prefault({}),
  /** Where /healthz, /readyz and /metrics are served; port 0 picks a free one. */
  health: z
    .strictObject({ host: z.string().min(1).default('0.0.0.0'), port: z.int().min(0).max(65_535).default(8081) })
    .prefault({}),
  /** Off only where nothing else can run a second operator. */
  lease: z
    .strictObject({ enabled: z.boolean().default(true), name: z.string().min(1).default('ipvs-operator') })
    .prefault({}),
  limits: z
    .strictObject({
      /** Services worked on at the same time. */
      serviceWorkers: z.int().min(1).max(256).default(16),
      /** SSH connections being made at the same time. */
      parallelDials: z.int().min(1).max(256).default(8),
    })
    .prefault({}),
});

/** How the operator shall run. */
export interface OperatorConfig extends z.infer<typeof configFile> {
  /** Path of a kubeconfig; undefined inside a cluster. */
  readonly kubeconfig: string | undefined;
  /** Holds the Secrets with SSH keys and the Lease. */
  readonly namespace: string;
}

export type ConfigResult =
  | { readonly ok: true; readonly config: OperatorConfig }
  /** One line that names what is wrong. */
  | { readonly ok: false; readonly message: string };

export const USAGE = 'usage: ipvs-operator --kubeconfig FILE --namespace NS [--config FILE]';

const OWN_NAMESPACE_FILE = '/var/run/secrets/kubernetes.io/serviceaccount/namespace';

/** Reads flags and file. Inside a cluster neither --kubeconfig nor --namespace is needed. */
export function readConfig(args: readonly string[]): ConfigResult {
  const flags = readFlags(args);
  if (typeof flags === 'string') return { ok: false, message: flags };
  const namespace = flags.namespace ?? ownNamespace();
  if (namespace === undefined) {
    return {
      ok: false,
      message: `--namespace is missing, and this is not a Pod with a namespace of its own; ${USAGE}`,
    };
  }
  const file = flags.config === undefined ? {} : readFile(flags.config);
  if (typeof file === 'string') return { ok: false, message: file };
  const parsed = configFile.safeParse(file);
  if (!parsed.success) return { ok: false, message: `${flags.config}: ${describeIssues(parsed.error.issues)}` };
  return { ok: true, config: { ...parsed.data, kubeconfig: flags.kubeconfig, namespace } };
}

function readFlags(args: readonly string[]): { kubeconfig?: string; namespace?: string; config?: string } | string {
  try {
    const text = { type: 'string' } as const;
    return parseArgs({ args: [...args], options: { kubeconfig: text, namespace: text, config: text }, strict: true })
      .values;
  } catch (error) {
    return `${(error as Error).message.split('. ')[0]}; ${USAGE}`;
  }
}

function ownNamespace(): string | undefined {
  try {
    return readFileSync(OWN_NAMESPACE_FILE, 'utf8').trim() || undefined;
  } catch {
    return undefined;
  }
}

function readFile(path: string): object | string {
  try {
    const content: unknown = parse(readFileSync(path, 'utf8')) ?? {};
    return typeof content === 'object' && content !== null
      ? content
      : `${path}: the configuration must be a mapping of fields`;
  } catch (error) {
    return `${path} cannot be read: ${(error as Error).message.split('\n')[0]}`;
  }
}

function describeIssues(issues: readonly z.core.$ZodIssue[]): string {
  return issues
    .map((issue) => {
      const path = issue.path.join('.');
      if (issue.code === 'unrecognized_keys') {
        return `unknown field ${issue.keys.map((key) => (path === '' ? key : `${path}.${key}`)).join(', ')}`;
      }
      return `${path === '' ? 'the file' : path}: ${issue.message}`;
    })
    .join('; ');
}
