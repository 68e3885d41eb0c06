import assert from 'node:assert/strict';
import { type DirectorStatusInput, directorStatus, isDirectorReady } from '../../../operator/core/director-status.ts';
import { aDirector } from '../../builders/a-director.ts';

const SINCE = '2026-11-23T11:20:00Z';
const HELLO = {
  version: '0.1.0',
  protocol: { min: 1, max: 1 },
  kernel: '6.1.0-50-cloud-amd64',
  bootId: 'boot-1',
  capabilities: {
    ipvs: true,
    netAdmin: true,
    schedulers: ['rr', 'mh'],
    forwardingMethods: ['DirectRouting'],
    families: ['IPv4', 'IPv6'],
  },
  problems: [],
};
const UP = { kind: 'up', since: SINCE } as const;
const down = (reason: string, message = 'It is so.') =>
  ({ kind: 'down', since: SINCE, failure: { reason, message } }) as const;

const anInput = (overrides: Partial<DirectorStatusInput> = {}): DirectorStatusInput => ({
  director: { ok: true, value: aDirector({ generation: 2 }) },
  link: UP,
  table: { kind: 'inSync' },
  hello: HELLO,
  ...overrides,
});

function conditions(overrides: Partial<DirectorStatusInput> = {}) {
  const all = directorStatus(anInput(overrides)).conditions;
  return Object.fromEntries(all.map(({ type, status, reason, message }) => [type, `${status} ${reason}: ${message}`]));
}

describe('directorStatus', () => {
  it('tells what the director is and that all is well', () => {
    const counts = {
      virtualServers: 2,
      realServers: 4,
      draining: 1,
      foreign: 1,
      orphans: 3,
      activeConnections: 5,
      inactiveConnections: 6,
    };
    const { conditions: _, ...figures } = directorStatus(anInput({ counts, totalWrites: 9, lastSyncTime: SINCE }));
    assert.deepEqual(figures, {
      observedGeneration: 2,
      helper: {
        version: '0.1.0',
        protocol: '1-1',
        capabilities: ['IPVS', 'NET_ADMIN', 'IPv4', 'IPv6', 'DirectRouting', 'rr', 'mh'],
      },
      kernel: '6.1.0-50-cloud-amd64',
      bootID: 'boot-1',
      virtualServers: 2,
      realServers: 4,
      draining: 1,
      foreign: 1,
      orphans: 3,
      connections: 11,
      totalWrites: 9,
      lastSyncTime: SINCE,
      message: '',
    });
    const { Connected, Compatible, InSync, Ready } = conditions();
    assert.equal(Connected, `True Connected: Connected since ${SINCE} to helper 0.1.0.`);
    assert.match(Compatible ?? '', /^True Compatible: Helper 0\.1\.0 on Linux 6\.1\.0-50-cloud-amd64/);
    assert.match(InSync ?? '', /^True InSync/);
    assert.match(Ready ?? '', /^True Ready/);
  });

  const unfit = { ...HELLO, problems: ['The kernel has no IPVS: load module ip_vs.'] };
  const refused = (errorClass: string) =>
    ({ kind: 'refused', errors: [{ class: errorClass, message: 'TCP 203.0.113.10:80 is refused.' }] }) as const;
  const failed = (errorClass: string) =>
    ({ kind: 'failed', error: { class: errorClass, message: 'It failed.' } }) as const;
  const invalid = { ok: false, name: 'lb-1', generation: 2, problems: ['spec.address: bad.'] } as const;
  type Row = readonly [
    what: string,
    input: Partial<DirectorStatusInput>,
    connected: string,
    compatible: string,
    inSync: string,
    ready: string,
  ];
  const rows: readonly Row[] = [
    [
      'an object that cannot be used',
      { director: invalid, link: { kind: 'connecting' }, hello: undefined },
      'False InvalidSpec',
      'Unknown NotConnected',
      'Unknown NotConnected',
      'False InvalidSpec',
    ],
    [
      'before the first answer',
      { link: { kind: 'connecting' }, hello: undefined },
      'Unknown Connecting',
      'Unknown NotConnected',
      'Unknown NotConnected',
      'False Connecting',
    ],
    [
      'unreachable',
      { link: down('Unreachable') },
      'False Unreachable',
      'Unknown NotConnected',
      'Unknown NotConnected',
      'False Unreachable',
    ],
    [
      'silent',
      { link: down('Timeout') },
      'False Timeout',
      'Unknown NotConnected',
      'Unknown NotConnected',
      'False Timeout',
    ],
    [
      'another host key',
      { link: down('HostKeyMismatch') },
      'False HostKeyMismatch',
      'Unknown NotConnected',
      'Unknown NotConnected',
      'False HostKeyMismatch',
    ],
    [
      'no Secret',
      { link: down('SecretMissing') },
      'False SecretMissing',
      'Unknown NotConnected',
      'Unknown NotConnected',
      'False SecretMissing',
    ],
    [
      'no helper',
      { link: down('NotADirector') },
      'False NotADirector',
      'False NotADirector',
      'Unknown NotConnected',
      'False NotADirector',
    ],
    [
      'an old helper',
      { link: down('IncompatibleHelper') },
      'False IncompatibleHelper',
      'False IncompatibleHelper',
      'Unknown NotConnected',
      'False IncompatibleHelper',
    ],
    [
      'no IPVS',
      { hello: unfit, table: { kind: 'unknown' } },
      'True Connected',
      'False HostUnfit',
      'Unknown Filling',
      'False HostUnfit',
    ],
    [
      'being filled',
      { table: { kind: 'unknown' } },
      'True Connected',
      'True Compatible',
      'Unknown Filling',
      'False Filling',
    ],
    [
      'refused by policy',
      { table: refused('policy') },
      'True Connected',
      'True Compatible',
      'False PolicyDenied',
      'True Ready',
    ],
    [
      'a foreign entry',
      { table: refused('collision') },
      'True Connected',
      'True Compatible',
      'False ForeignCollision',
      'True Ready',
    ],
    [
      'refused by the kernel',
      { table: refused('object') },
      'True Connected',
      'True Compatible',
      'False ObjectRefused',
      'True Ready',
    ],
    [
      'a newer operator',
      { table: failed('fenced') },
      'True Connected',
      'True Compatible',
      'False Fenced',
      'False Fenced',
    ],
    [
      'a failed request',
      { table: failed('retry') },
      'True Connected',
      'True Compatible',
      'False ApplyFailed',
      'False ApplyFailed',
    ],
    [
      'an owner that is not what the Director says',
      { table: { kind: 'failed', error: { class: 'permanent', reason: 'OwnerMismatch', message: 'Owner.' } } },
      'True Connected',
      'False OwnerMismatch',
      'False OwnerMismatch',
      'False OwnerMismatch',
    ],
    [
      'a host that must be changed',
      { table: failed('permanent') },
      'True Connected',
      'True Compatible',
      'False HostUnfit',
      'False HostUnfit',
    ],
    [
      'a change held back',
      { table: { kind: 'held', message: '30 of 30.' } },
      'True Connected',
      'True Compatible',
      'False Held',
      'True Ready',
    ],
    [
      'drift that is only reported',
      { table: { kind: 'drifted', message: 'Weight.' } },
      'True Connected',
      'True Compatible',
      'False Drift',
      'True Ready',
    ],
    [
      'cordoned',
      { director: { ok: true, value: aDirector({ state: 'Cordoned' }) } },
      'True Connected',
      'True Compatible',
      'True InSync',
      'False Cordoned',
    ],
    [
      'drained',
      { director: { ok: true, value: aDirector({ state: 'Drained' }) } },
      'True Connected',
      'True Compatible',
      'True InSync',
      'False Drained',
    ],
  ];
  for (const [what, input, ...expected] of rows) {
    it(what, () => {
      const all = conditions(input);
      const heads = ['Connected', 'Compatible', 'InSync', 'Ready'].map((type) => all[type]?.split(':')[0]);
      assert.deepEqual(heads, expected);
      assert.equal(isDirectorReady(anInput(input)), expected[3] === 'True Ready', 'Ready says what publication does');
    });
  }

  it('says since when it is not connected, and why', () => {
    const message = 'Host 192.0.2.11 port 22 does not answer: check the network.';
    assert.equal(
      conditions({ link: down('Unreachable', message) }).Connected,
      `False Unreachable: Not connected since ${SINCE}: ${message}`,
    );
    assert.equal(
      directorStatus(anInput({ link: down('Unreachable', message) })).message,
      `Not connected since ${SINCE}: ${message}`,
    );
  });

  it('still tells what the host was while it is away', () => {
    assert.equal(directorStatus(anInput({ link: down('Unreachable') })).kernel, '6.1.0-50-cloud-amd64');
  });

  it('names three refused objects and counts the rest', () => {
    const errors = ['a', 'b', 'c', 'd', 'e'].map((name) => ({ class: 'policy', message: `${name} is denied.` }));
    assert.match(
      conditions({ table: { kind: 'refused', errors } }).InSync ?? '',
      /a is denied\. b is denied\. c is denied\. And 2 more\./,
    );
  });
});
