import type { AddressPool, HeldAddress } from '../model/address-pool.ts';
import type { AllocationRecord } from '../model/allocation-record.ts';
import type { ClusterNode } from '../model/cluster-node.ts';
import type { Director } from '../model/director.ts';
import type { HostSettings } from '../model/host-settings.ts';
import type { IpAddress } from '../model/ip-address.ts';
import type { LabelSet } from '../model/labels.ts';
import type { LoadBalancedService, ServiceEndpoints, ServiceKey } from '../model/load-balanced-service.ts';
import type { Parsed } from '../model/parsed.ts';
import type { PreflightCheck } from '../model/preflight-check.ts';
import type { ServiceRanges } from '../model/service-ranges.ts';
import type { DirectorStatus, PoolStatus, ServiceStatus } from '../model/status.ts';
import type { VirtualServer, VirtualServerKey } from '../model/virtual-server.ts';

export type { Parsed } from '../model/parsed.ts';
export type { DirectorStatus, PoolDirectorStatus, PoolStatus, ServiceStatus } from '../model/status.ts';

/** Time, timers and randomness, so that a simulator can drive the same code. */
export interface Clock {
  /** Wall clock, milliseconds since the epoch: for people to read. */
  now(): number;
  /** Monotonic milliseconds: for durations and deadlines. */
  monotonic(): number;
  /** Runs the callback once after the delay; the returned function cancels it. */
  schedule(delayMs: number, callback: () => void): () => void;
  /** Uniform in [0, 1). */
  random(): number;
}

/** Constant sentence plus fields. */
export interface Log {
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void;
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
  child(fields: Readonly<Record<string, unknown>>): Log;
}

/** The cluster as last seen: parsed values, always answered from memory. */
export interface Cluster {
  /** True after every resource has been listed completely once. Nothing is allocated, programmed or deleted before. */
  synced(): boolean;
  service(key: ServiceKey): LoadBalancedService | undefined;
  services(): Iterable<LoadBalancedService>;
  endpoints(key: ServiceKey): ServiceEndpoints;
  nodes(): Iterable<ClusterNode>;
  /** Where cluster IPs are taken from; none when the API server does not tell. */
  serviceRanges(): Iterable<ServiceRanges>;
  pool(name: string): Parsed<AddressPool> | undefined;
  pools(): Iterable<Parsed<AddressPool>>;
  /** Whether our finalizer stands on the pool. */
  isPoolMarked(name: string): boolean;
  /** Whether the pool is being deleted, be it valid or not. */
  isPoolDeleting(name: string): boolean;
  /** Addresses that the stored status of the pool calls held. */
  heldAddresses(pool: string): readonly HeldAddress[];
  director(name: string): Parsed<Director> | undefined;
  directors(): Iterable<Parsed<Director>>;
  namespaceLabels(namespace: string): LabelSet | undefined;
}

/** What changed in the cluster; controllers turn each into queue keys. Handlers never block and never throw. */
export type ClusterEvent =
  | { readonly kind: 'synced' }
  | { readonly kind: 'service'; readonly key: ServiceKey }
  | { readonly kind: 'endpoints'; readonly key: ServiceKey }
  | { readonly kind: 'nodes' }
  | { readonly kind: 'serviceRanges' }
  | { readonly kind: 'pool'; readonly name: string }
  | { readonly kind: 'director'; readonly name: string }
  | { readonly kind: 'secret'; readonly name: string }
  | { readonly kind: 'namespace'; readonly name: string };

/** The answer of a write to the API server. `conflict`: the object changed meanwhile, read again; `gone`: it no longer exists. */
export type WriteResult =
  /**
   * `otherWriter`: the field manager that had also written to the status of a Service, as far as the API server knows. `between`: the
   * version of the object that stood for a moment, where it took two writes.
   */
  | { readonly kind: 'written'; readonly otherWriter?: string; readonly between?: string }
  | { readonly kind: 'unchanged' }
  | { readonly kind: 'conflict' }
  | { readonly kind: 'gone' }
  | { readonly kind: 'failed'; readonly cause: string };

/** Writes to the API server. Each compares with what is stored first and writes only differences. None throws for expected trouble. */
export interface ClusterWriter {
  /** Adds both finalizers and stores the allocation record in one patch, guarded by resourceVersion. */
  claimService(service: LoadBalancedService, record: AllocationRecord): Promise<WriteResult>;
  /** Removes a record that is not true from a Service that has nothing of ours, guarded by resourceVersion. */
  disclaimService(service: LoadBalancedService): Promise<WriteResult>;
  /** Removes both finalizers and the record in one patch, guarded by resourceVersion. */
  releaseService(service: LoadBalancedService): Promise<WriteResult>;
  writeServiceStatus(service: LoadBalancedService, status: ServiceStatus): Promise<WriteResult>;
  /** Sets our finalizer on a pool, or removes it. */
  markPool(pool: string, marked: boolean): Promise<WriteResult>;
  writePoolStatus(pool: string, status: PoolStatus): Promise<WriteResult>;
  writeDirectorStatus(director: string, status: DirectorStatus): Promise<WriteResult>;
}

export type ObjectReference =
  | { readonly kind: 'Service'; readonly namespace: string; readonly name: string; readonly uid: string }
  | { readonly kind: 'LoadBalancerPool' | 'Director'; readonly name: string; readonly uid: string };

/** Kubernetes events; equal ones are aggregated; a failed write is logged, never more. */
export interface EventRecorder {
  record(about: ObjectReference, type: 'Normal' | 'Warning', reason: string, message: string): void;
}

/** The private key of a director, or why there is none. The value never reaches a log, an event or a status. */
export type KeyLookup =
  | { readonly ok: true; readonly privateKey: string }
  | { readonly ok: false; readonly reason: 'SecretMissing' | 'SecretUnreadable'; readonly message: string };
export interface DirectorKeys {
  privateKey(secretName: string): KeyLookup;
}

/** This process's right to write. `epoch` is the Lease's transition count; undefined while we do not lead. */
export interface Leadership {
  epoch(): number | undefined;
  /** Makes the epoch higher than one that a director has seen (the Lease was deleted and counts from zero again). */
  raiseEpoch(above: number): Promise<boolean>;
}

/** What the controllers count; no series ever names a Service. */
export interface ControllerMetrics {
  /** One pass of a controller; `result` is the kind of its Outcome, or `error`. */
  reconciled(controller: string, result: string, seconds: number): void;
  queueDepth(controller: string, depth: number): void;
  directorUp(director: string, up: boolean): void;
  /** The director's table was confirmed; seconds since the epoch. */
  directorSynced(director: string, atSeconds: number): void;
  /** Changes that a director reported; `kind` as in the wire protocol. */
  changed(director: string, kind: string, count: number): void;
  /** The Director object is gone: its series end. */
  directorGone(director: string): void;
  vipsInUse(pool: string, count: number): void;
  poolGone(pool: string): void;
}

// ---- the director's side -------------------------------------------------------------------------------------------

/** Why a director cannot be used now. Each reason is a documented condition reason. */
export interface DirectorFailure {
  readonly reason:
    | 'Unreachable' // no TCP connection, or the network broke
    | 'Timeout' // accepted, then silent; or a request got no answer in time
    | 'HostKeyMismatch'
    | 'AuthenticationFailed'
    | 'BadPrivateKey'
    | 'NotADirector' // SSH works, but no helper answers
    | 'IncompatibleHelper' // protocol versions do not meet
    | 'ProtocolError'
    | 'Closed'; // ended by us or by the host
  /** A sentence: object, cause, remedy. */
  readonly message: string;
}

export interface HelperHello {
  readonly protocol: { readonly min: number; readonly max: number };
  readonly version: string;
  readonly owner: string;
  readonly bootId: string;
  readonly machineId: string;
  readonly netns: string;
  readonly kernel: string;
  readonly epoch: number;
  readonly generation: number;
  readonly capabilities: {
    readonly ipvs: boolean;
    readonly netAdmin: boolean;
    readonly schedulers: readonly string[];
    readonly forwardingMethods: readonly string[];
    /** Tunnel types that the director's kernel keeps; absent from helpers that do not tell. */
    readonly tunnelTypes?: readonly string[];
    readonly families: readonly string[];
    /** What requests may use beyond the first form of the protocol's version; absent from helpers that know none of it. */
    readonly features?: readonly string[];
  };
  readonly problems: readonly string[];
}

/** See docs/wire-protocol.md for each of these. */
export interface ApplyRequest {
  readonly epoch: number;
  readonly generation: number;
  readonly dryRun: boolean;
  readonly scope: 'listed' | 'all';
  readonly interface: string;
  readonly virtualServers: readonly VirtualServer[];
  readonly absent: readonly VirtualServerKey[];
  /** What shall hold on the director as a whole; absent: it stays as it is. */
  readonly host?: HostSettings;
}

export type HelperErrorClass = 'retry' | 'permanent' | 'object' | 'policy' | 'fenced' | 'collision' | 'protocol';

export interface HelperError {
  readonly class: HelperErrorClass;
  readonly message: string;
  readonly errno?: string;
  readonly object?: string;
  readonly highest?: { readonly epoch: number; readonly generation: number };
}

export interface TableCounts {
  readonly virtualServers: number;
  readonly realServers: number;
  readonly draining: number;
  readonly foreign: number;
  readonly orphans: number;
  readonly activeConnections: number;
  readonly inactiveConnections: number;
}

export interface TableChange {
  readonly kind: string;
  readonly object: string;
  readonly sentence: string;
}

export interface ApplyResult {
  readonly changes: readonly TableChange[];
  readonly errors: readonly HelperError[];
  readonly failed: readonly VirtualServerKey[];
  readonly writes: number;
  readonly totalWrites: number;
  readonly tableHash: string;
  readonly counts: TableCounts;
}

export interface ReadKeysResult {
  readonly keys: readonly VirtualServerKey[];
  readonly foreign: readonly VirtualServerKey[];
  readonly orphans: readonly VirtualServerKey[];
  readonly addresses: readonly IpAddress[];
  readonly tableHash: string;
  readonly totalWrites: number;
  readonly counts: TableCounts;
}

/** An answer of the helper, its refusal, or the end of the session (which is then over for good). */
export type Answer<T> =
  | { readonly kind: 'ok'; readonly value: T }
  | { readonly kind: 'refused'; readonly error: HelperError }
  | { readonly kind: 'broken'; readonly failure: DirectorFailure };

/** One live helper session. At most one request is in flight; each has a deadline that ends the session when it passes. */
export interface DirectorSession {
  readonly hello: HelperHello;
  apply(request: ApplyRequest): Promise<Answer<ApplyResult>>;
  readKeys(): Promise<Answer<ReadKeysResult>>;
  ping(): Promise<Answer<void>>;
  /** Has the helper look at its host; changes nothing. A helper that cannot refuses. */
  preflight(): Promise<Answer<readonly PreflightCheck[]>>;
  /** Settles once, when the session is over, with the reason. */
  readonly ended: Promise<DirectorFailure>;
  close(): void;
}

export interface DirectorTarget {
  readonly name: string;
  readonly address: IpAddress;
  readonly port: number;
  readonly user: string;
  readonly hostKeys: readonly string[];
  readonly owner: string;
  readonly privateKey: string;
}

/** Opens sessions. Never throws for expected trouble; bounded in time. */
export interface DirectorDialer {
  dial(
    target: DirectorTarget,
  ): Promise<
    { readonly ok: true; readonly session: DirectorSession } | { readonly ok: false; readonly failure: DirectorFailure }
  >;
}
