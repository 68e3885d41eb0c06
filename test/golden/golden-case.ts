import { readdirSync, readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { DirectorFailure } from '../../operator/controllers/ports.ts';
import type { AliasGroup } from '../../operator/kube/alias-annotations.ts';
import type { Manifest } from './stored-manifests.ts';

/** Manifests by `Kind name` or `Kind namespace/name`. */
export type Manifests = Readonly<Record<string, Manifest>>;

/** What must be so for one Service. Texts match from their beginning; `…` stands for anything. */
export interface ServiceExpectation {
  /** In status.loadBalancer.ingress, in this order. */
  readonly addresses?: readonly string[];
  readonly ipMode?: 'VIP' | 'Proxy';
  /** Errors in status.loadBalancer.ingress[].ports, by `TCP/80`. */
  readonly portErrors?: Readonly<Record<string, string>>;
  /** `status reason: message`; null: there is no such condition. */
  readonly AddressAssigned?: string | null;
  readonly Programmed?: string | null;
  /** Whether both finalizers are on it. */
  readonly finalizers?: boolean;
  /** `reason: message` of the events of this step. */
  readonly events?: readonly string[];
  /** Writes of ours to the Service in this step. */
  readonly writes?: readonly ('claim' | 'serviceStatus' | 'release')[];
}

export interface Expectation {
  /** null: there is no such Service, or it is none of ours. */
  readonly services?: Readonly<Record<string, ServiceExpectation | null>>;
  /** The whole table of each director in service, or of those named under `tablesOf`: key → real servers. */
  readonly table?: Readonly<Record<string, readonly string[] | null>>;
  readonly tablesOf?: readonly string[];
  /** Parts of virtual servers, as the model spells them. */
  readonly virtualServers?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** Parts of pool statuses; conditions by type as `status reason: message`. */
  readonly pools?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** Nothing is written anywhere in this step: no API write, no write on a director. */
  readonly quiet?: boolean;
}

export interface Step {
  /** What happens, as a phrase. */
  readonly when: string;
  readonly apply?: Manifests;
  /** Pools by force: one in use would wait. */
  readonly delete?: readonly string[];
  /** Names of pools that are deleted as usual. */
  readonly retire?: readonly string[];
  /** The operator ends as told and starts again, after the changes of this step were made while it was away. */
  readonly operator?: 'restarts' | 'crashes' | 'stops' | 'starts';
  /** The next so many writes of the kind fail so. */
  readonly writesFail?: {
    readonly verb: string;
    readonly fault: 'conflict' | 'failed' | 'lost';
    readonly times: number;
  };
  /** null: the director is well again. */
  readonly directorsFail?: Readonly<Record<string, DirectorFailure['reason'] | null>>;
  /** Seconds until the expectations are looked at. Default 15. */
  readonly after?: number;
  readonly expect: Expectation;
}

/** One case, one file. The site: pool `web` (203.0.113.10 … 13), directors lb-1 and lb-2, nodes node-1 and node-2 with an
 * address of each family (192.0.2.21 and 22, 2001:db8:2::21 and 22), namespace shop. */
export interface GoldenCase {
  readonly title: string;
  /** Replaces the pool `web`. */
  readonly pools?: Readonly<Record<string, Manifest>>;
  readonly claimUnclassed?: boolean;
  /** Other implementations whose annotations are understood. */
  readonly aliases?: readonly AliasGroup[];
  readonly steps: readonly Step[];
}

const FOLDER = new URL('.', import.meta.url);

/** Every case below test/golden, by file name relative to it. */
export function goldenCases(): readonly (readonly [file: string, golden: GoldenCase])[] {
  return readdirSync(FOLDER, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.yaml'))
    .sort()
    .map((file) => [file, parse(readFileSync(new URL(file, FOLDER), 'utf8')) as GoldenCase]);
}
