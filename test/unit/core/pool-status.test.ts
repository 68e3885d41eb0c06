import assert from 'node:assert/strict';
import { findOverlaps } from '../../../operator/core/pool-overlaps.ts';
import { type PoolStatusInput, poolStatus } from '../../../operator/core/pool-status.ts';
import type { PoolDirectorStatus } from '../../../operator/model/status.ts';
import { aPool } from '../../builders/a-pool.ts';

const says = (
  name: string,
  ready: boolean,
  message = ready ? 'In sync.' : 'No route to host.',
): PoolDirectorStatus => ({
  name,
  ready,
  virtualServers: 2,
  realServers: 4,
  message,
});

function status(overrides: Partial<PoolStatusInput> = {}) {
  const result = poolStatus({
    pool: { ok: true, value: aPool({ generation: 3 }) },
    usage: { assignedIPv4: 1, assignedIPv6: 0, availableIPv4: 3n, availableIPv6: 0n, outside: 0 },
    directors: [says('lb-2', true), says('lb-1', true)],
    virtualServers: 2,
    ...overrides,
  });
  const condition = (type: string) => {
    const found = result.conditions.find((one) => one.type === type);
    return `${found?.status} ${found?.reason}: ${found?.message}`;
  };
  return { result, condition };
}

describe('poolStatus', () => {
  it('counts, sorts and says that all is well', () => {
    const { result, condition } = status();
    const { conditions, ...figures } = result;
    assert.deepEqual(figures, {
      observedGeneration: 3,
      assignedIPv4: 1,
      assignedIPv6: 0,
      availableIPv4: '3',
      availableIPv6: '0',
      used: 1,
      free: '3',
      directors: [says('lb-1', true), says('lb-2', true)],
      directorsReady: '2/2',
      virtualServers: 2,
    });
    assert.ok(conditions.every(({ observedGeneration }) => observedGeneration === 3));
    assert.equal(condition('Ready'), 'True Ready: Served by director lb-1 and lb-2.');
    assert.equal(condition('AddressesAvailable'), 'True Available: 1 address in use, 3 free.');
    assert.match(condition('Conflict'), /^False NoOverlap/);
    assert.equal(condition('DirectorsSelected'), 'True Selected: 2 directors: lb-1 and lb-2.');
    assert.match(condition('ChangeHeld'), /^False NothingHeld/);
  });

  it('writes more addresses than a number can hold', () => {
    const usage = { assignedIPv4: 1, assignedIPv6: 1, availableIPv4: 3n, availableIPv6: (1n << 64n) - 1n, outside: 0 };
    const { result, condition } = status({ usage });
    assert.equal(condition('AddressesAvailable'), 'True Available: 2 addresses in use, ~2^64 free.');
    assert.equal(result.availableIPv6, '18446744073709551615');
    assert.equal(result.free, '~2^64');
    assert.equal(result.used, 2);
  });

  const late = aPool({ name: 'late', createdAt: 9_999 });
  const overlap = findOverlaps([aPool(), late])[0];
  const rows: readonly [what: string, input: Partial<PoolStatusInput>, type: string, expected: RegExp][] = [
    [
      'a pool that cannot be used',
      { pool: { ok: false, name: 'web', generation: 4, problems: ['spec.addresses: bad.'] } },
      'Ready',
      /^False InvalidSpec: spec\.addresses: bad\./,
    ],
    [
      'the same',
      { pool: { ok: false, name: 'web', generation: 4, problems: ['spec.addresses: bad.'] } },
      'AddressesAvailable',
      /^False InvalidSpec/,
    ],
    ['a pool that yields', { overlap }, 'Ready', /^False Conflict: .*earlier LoadBalancerPool web/],
    ['the same', { overlap }, 'Conflict', /^True Overlap: .*web \(203\.0\.113\.10-203\.0\.113\.13\)/],
    ['the same', { overlap }, 'AddressesAvailable', /^False Conflict/],
    ['a paused pool', { pool: { ok: true, value: aPool({ paused: true }) } }, 'AddressesAvailable', /^False Paused/],
    ['a paused pool serves', { pool: { ok: true, value: aPool({ paused: true }) } }, 'Ready', /^True Ready/],
    ['a pool being deleted', { pool: { ok: true, value: aPool({ deleting: true }) } }, 'Ready', /^False Deleting/],
    [
      'a full pool',
      { usage: { assignedIPv4: 4, assignedIPv6: 0, availableIPv4: 0n, availableIPv6: 0n, outside: 0 } },
      'AddressesAvailable',
      /^False Exhausted: All addresses are given: 4 addresses in use/,
    ],
    [
      'no director',
      { directors: [] },
      'Ready',
      /^False NoDirectorSelected: spec\.directors\.selector matches no Director/,
    ],
    ['no director', { directors: [] }, 'DirectorsSelected', /^False NoDirectorSelected/],
    [
      'one director of two',
      { directors: [says('lb-1', true), says('lb-2', false)] },
      'Ready',
      /^True SomeDirectorsNotReady: Served by director lb-1; not ready is lb-2: No route to host\./,
    ],
    [
      'no ready director',
      { directors: [says('lb-1', false)] },
      'Ready',
      /^False NoDirectorReady: No director is ready\. lb-1: No route/,
    ],
    ['a change held back', { changeHeld: '30 of 30 would go.' }, 'Ready', /^True Ready/],
    ['a change held back', { changeHeld: '30 of 30 would go.' }, 'ChangeHeld', /^True TooManyRemovals: 30 of 30/],
  ];
  for (const [what, input, type, expected] of rows) {
    it(`${what}: ${type}`, () => assert.match(status(input).condition(type), expected));
  }
});
