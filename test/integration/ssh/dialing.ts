import assert from 'node:assert/strict';
import type { Clock, DirectorFailure, DirectorSession, DirectorTarget } from '../../../operator/controllers/ports.ts';
import type { IpAddress } from '../../../operator/model/ip-address.ts';
import { systemClock } from '../../../operator/observe/system-clock.ts';
import { createDirectorDialer } from '../../../operator/ssh/helper-client.ts';
import type { SshLimits } from '../../../operator/ssh/limits.ts';
import { FakeLog } from '../../fakes/fake-log.ts';
import { generateKey } from './keys.ts';

const clientKey = generateKey();

const loopback = '127.0.0.1' as IpAddress;

/** Where to dial: d1 on loopback, owner prod, a key that scripted hosts accept. */
export function aTarget(
  overrides: Partial<DirectorTarget> & Pick<DirectorTarget, 'port' | 'hostKeys'>,
): DirectorTarget {
  return { name: 'd1', address: loopback, user: 'ipvs', owner: 'prod', privateKey: clientKey.privateKey, ...overrides };
}

interface Dialing {
  readonly limits?: Partial<SshLimits>;
  readonly clock?: Clock;
  readonly log?: FakeLog;
}

/** Dials once with the real dialer. */
export function dial(target: DirectorTarget, { limits = {}, clock = systemClock, log = new FakeLog() }: Dialing = {}) {
  return createDirectorDialer({ clock, log, limits }).dial(target);
}

/** Dials and expects a session. */
export async function dialed(target: DirectorTarget, dialing?: Dialing): Promise<DirectorSession> {
  const result = await dial(target, dialing);
  assert.ok(result.ok, result.ok ? '' : `dialing failed: ${result.failure.reason}: ${result.failure.message}`);
  return result.session;
}

/** Dials and expects a failure, whose message names the director, and no key. */
export async function dialFailure(target: DirectorTarget, dialing?: Dialing): Promise<DirectorFailure> {
  const log = new FakeLog();
  const result = await dial(target, { log, ...dialing });
  assert.ok(!result.ok, 'the dial succeeded');
  assertSaysWhatToDo(result.failure, target);
  assertNoKey(JSON.stringify([result.failure, log.lines]), target.privateKey);
  return result.failure;
}

/** Object and remedy: the director's name, and an imperative after the cause. */
export function assertSaysWhatToDo(failure: DirectorFailure, target: DirectorTarget): void {
  assert.ok(failure.message.startsWith(`director ${target.name} (`), failure.message);
  assert.match(failure.message, /\b(check|install|update|store|compare|add|allow|report|see|fewer|journal)\b/i);
  assert.doesNotMatch(failure.message, /\p{Cc}/u);
}

function assertNoKey(text: string, privateKey: string): void {
  for (const line of privateKey.split('\n').filter((each) => each.length > 20 && !each.startsWith('-----'))) {
    assert.ok(!text.includes(line), 'a part of the private key is in a message or log line');
  }
}
