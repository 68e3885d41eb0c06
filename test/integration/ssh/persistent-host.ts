import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { until } from '../until.ts';
import type { TestKey } from './keys.ts';
import { type OpenSshHost, startOpenSshHost } from './open-ssh-host.ts';

/**
 * A real sshd before the helper's own session and engine, on a kernel in memory that outlives sessions (helper/contract in the role of a
 * host): what a session has left behind is there for the next.
 */
export interface PersistentHost {
  readonly ssh: OpenSshHost;
  /** Returns when only so many sessions are open: the others have finished what they had read. */
  settled(sessions: number): Promise<void>;
  stop(): Promise<void>;
}

export async function startPersistentHost(clientKey: TestKey): Promise<PersistentHost> {
  const program = fileURLToPath(new URL('../../../.build/contract.test', import.meta.url));
  assert.ok(existsSync(program), `${program} is missing: make .build/contract.test`);
  const directory = mkdtempSync(join(tmpdir(), 'persistent-host-'));
  const [socket, stateDir, sessions] = ['socket', 'state', 'sessions'].map((name) => join(directory, name));
  assert.ok(socket !== undefined && stateDir !== undefined && sessions !== undefined);
  mkdirSync(stateDir);
  const host = spawn(program, {
    env: { ...process.env, IPVS_CONTRACT_PROCESS: 'host' },
    stdio: ['pipe', 'inherit', 'inherit'],
  });
  host.stdin.write(`${JSON.stringify({ Socket: socket, StateDir: stateDir, Sessions: sessions })}\n`);
  await until('the host listens', () => existsSync(socket));
  const command = `IPVS_CONTRACT_PROCESS=bridge IPVS_CONTRACT_SOCKET=${socket} exec ${program}`;
  const ssh = await startOpenSshHost({ command, clientKey });
  return {
    ssh,
    settled: async (count) => {
      await until(`${count} sessions are open`, () => readFileSync(sessions, 'utf8') === String(count));
    },
    stop: async () => {
      await ssh.stop();
      await ended(host);
      rmSync(directory, { recursive: true });
    },
  };
}

async function ended(host: ChildProcess): Promise<void> {
  const exit = once(host, 'exit');
  host.stdin?.end();
  await exit;
}
