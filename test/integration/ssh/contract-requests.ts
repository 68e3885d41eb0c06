import assert from 'node:assert/strict';
import type {
  Answer,
  ApplyRequest,
  ApplyResult,
  DirectorSession,
  HelperError,
  ReadKeysResult,
} from '../../../operator/controllers/ports.ts';
import {
  compareVirtualServerKeys,
  formatVirtualServerKey,
  type VirtualServer,
  type VirtualServerKey,
} from '../../../operator/model/virtual-server.ts';
import { aRealServer, aVirtualServer } from '../../builders/a-virtual-server.ts';
import type { Subject } from './contract-subjects.ts';

/** The director that a case is tried on, and the session that was opened for it. */
export interface CaseSubject {
  subject: Subject;
  session: DirectorSession;
}

export const web = aVirtualServer({ realServers: [aRealServer(), aRealServer({ address: '192.0.2.22' })] });
export const WEB = 'TCP 203.0.113.10:80';
export const dns = aVirtualServer({
  address: '203.0.113.11',
  port: 53,
  protocol: 'UDP',
  scheduler: 'rr',
  schedulerFlags: [],
  realServers: [aRealServer({ port: 53 })],
});
export const DNS = 'UDP 203.0.113.11:53';

export function applyRequest(overrides: Partial<ApplyRequest>): ApplyRequest {
  const nothing = {
    epoch: 1,
    generation: 1,
    dryRun: false,
    scope: 'listed',
    interface: 'lo',
    virtualServers: [],
    absent: [],
  };
  return { ...nothing, ...overrides } as ApplyRequest;
}

export function accepted<T>(answer: Answer<T>): T {
  assert.equal(answer.kind, 'ok', JSON.stringify(answer));
  return (answer as { value: T }).value;
}

export async function put(session: DirectorSession, ...virtualServers: VirtualServer[]): Promise<ApplyResult> {
  return accepted(await session.apply(applyRequest({ virtualServers })));
}

export async function remove(session: DirectorSession, ...absent: VirtualServerKey[]): Promise<ApplyResult> {
  return accepted(await session.apply(applyRequest({ absent })));
}

export async function keysOf(session: DirectorSession): Promise<ReadKeysResult> {
  return accepted(await session.readKeys());
}

export function kinds(result: ApplyResult): string[] {
  return result.changes.map(({ kind, object }) => `${kind} ${object}`);
}

export function texts(keys: readonly VirtualServerKey[]): string[] {
  return [...keys].sort(compareVirtualServerKeys).map(formatVirtualServerKey);
}

export function refusalsOf(errors: readonly HelperError[]): string[] {
  return errors.map((each) => `${each.class} ${each.object}`).sort();
}

/** Everything was done, and the same again has nothing to do. */
export async function assertSettled(
  session: DirectorSession,
  result: ApplyResult,
  ...virtualServers: VirtualServer[]
): Promise<void> {
  assert.deepEqual([result.errors, result.failed], [[], []]);
  assert.equal(result.writes, result.changes.length);
  const again = await put(session, ...virtualServers);
  assert.deepEqual([again.changes, again.writes, again.errors, again.failed], [[], 0, [], []]);
  assert.deepEqual([again.tableHash, again.totalWrites], [result.tableHash, result.totalWrites]);
}
