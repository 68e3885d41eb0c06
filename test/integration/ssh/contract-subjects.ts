import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { DirectorSession } from '../../../operator/controllers/ports.ts';
import { FakeDirector, fakeDialer } from '../../fakes/fake-director.ts';
import { aTarget, dialed } from './dialing.ts';
import { generateKey } from './keys.ts';
import { startOpenSshHost } from './open-ssh-host.ts';

/** A director that the contract is tried on. */
export interface Subject {
  /** A session on the host as it is. */
  open(): Promise<DirectorSession>;
  /** The administrator grants these ranges of virtual addresses instead, and no more deletions in a request than this. */
  grant(addresses: readonly string[], maxDeletions?: number): void;
  /** The record of what is ours is lost; the kernel's table is not. */
  loseLedger(): void;
  /** Somebody else empties the kernel; the record of what is ours stays. Ends sessions. */
  flush(): Promise<void>;
  /** As after a reboot, for the next case. Ends sessions. */
  reset(): Promise<void>;
  stop(): Promise<void>;
}

/** What the policy grants at the start of every case. */
export const GRANTED = ['203.0.113.0/25', '2001:db8:1::/64'] as const;
const REAL_SERVERS = ['192.0.2.0/24', '2001:db8:2::/64'];
const INTERFACES = ['lo', 'dummy0'];

export async function fakeSubject(): Promise<Subject> {
  const policy = { addresses: GRANTED, realServers: REAL_SERVERS, interfaces: INTERFACES };
  const director = new FakeDirector({ address: '127.0.0.1', policy });
  const dialer = fakeDialer([director]);
  return {
    open: async () => {
      const result = await dialer.dial(aTarget({ port: 22, hostKeys: [] }));
      assert.ok(result.ok);
      return result.session;
    },
    grant: (addresses, maxDeletions) => {
      director.table.policy = { ...policy, addresses, ...(maxDeletions !== undefined && { maxDeletions }) };
    },
    loseLedger: () => director.table.loseLedger(),
    flush: async () => {
      director.dropSessions();
      director.table.flushBehindOurBack();
    },
    reset: async () => {
      director.reboot();
      director.table.policy = policy;
    },
    stop: async () => director.dropSessions(),
  };
}

/** The helper as `make build` leaves it. */
export function builtHelper(): string {
  const path = fileURLToPath(new URL('../../../dist/ipvs-helper', import.meta.url));
  assert.ok(existsSync(path), `${path} is missing: make build`);
  return path;
}

/** The real helper with its kernel in memory, which lives as long as a session, behind a real sshd. */
export async function helperSubject(): Promise<Subject> {
  const helper = builtHelper();
  const directory = mkdtempSync(join(tmpdir(), 'director-contract-'));
  const state = join(directory, 'state');
  const policyFile = join(directory, 'policy.json');
  const clientKey = generateKey();
  const sessions = new Set<DirectorSession>();
  const command = `${helper} serve --owner prod --policy ${policyFile} --state-dir ${state} --fake-kernel`;
  // A new key exchange after every 512 KiB, the least that sshd agrees to: sessions must not notice.
  const host = await startOpenSshHost({ command, clientKey, config: ['RekeyLimit 512K'] });
  const { port, user, hostKeys } = host;

  async function closeSessions(): Promise<void> {
    for (const session of sessions) {
      session.close();
      await session.ended;
    }
    sessions.clear();
  }
  function grant(virtualServers: readonly string[], maxDeletionsPerRequest?: number): void {
    const owner = { virtualServers, realServers: REAL_SERVERS, interfaces: INTERFACES, maxDeletionsPerRequest };
    writeFileSync(policyFile, JSON.stringify({ owners: { prod: owner } }));
  }
  function loseLedger(): void {
    for (const name of readdirSync(state)) if (!name.includes('lock')) rmSync(join(state, name), { recursive: true });
  }
  async function reset(): Promise<void> {
    await closeSessions();
    rmSync(state, { recursive: true, force: true });
    mkdirSync(state);
    grant(GRANTED);
  }
  await reset();
  return {
    open: async () => {
      const session = await dialed(aTarget({ port, user, hostKeys, privateKey: clientKey.privateKey }));
      sessions.add(session);
      return session;
    },
    grant,
    loseLedger,
    flush: closeSessions,
    reset,
    stop: async () => {
      await closeSessions();
      await host.stop();
      rmSync(directory, { recursive: true });
    },
  };
}
