import assert from 'node:assert/strict';
import { effectiveBalancing, ipModeOf } from '../../../operator/core/effective-balancing.ts';
import type { Scheduler, SchedulerFlag } from '../../../operator/model/virtual-server.ts';
import { aPool } from '../../builders/a-pool.ts';
import { aService, aServicePort } from '../../builders/a-service.ts';

type Row = readonly [
  what: string,
  pool: { scheduler: Scheduler; schedulerFlags?: readonly SchedulerFlag[] },
  service: Parameters<typeof aService>[0],
  scheduler: Scheduler,
  flags: readonly SchedulerFlag[],
];

const rows: readonly Row[] = [
  ['mh falls back and hashes ports', { scheduler: 'mh' }, {}, 'mh', ['mh-fallback', 'mh-port']],
  ['chosen flags keep mh-fallback', { scheduler: 'mh', schedulerFlags: ['mh-fallback'] }, {}, 'mh', ['mh-fallback']],
  [
    'mh-port alone gets mh-fallback',
    { scheduler: 'mh', schedulerFlags: ['mh-port'] },
    {},
    'mh',
    ['mh-fallback', 'mh-port'],
  ],
  [
    'flag-1 is mh-fallback',
    { scheduler: 'mh', schedulerFlags: ['flag-1', 'flag-2'] },
    {},
    'mh',
    ['mh-fallback', 'mh-port'],
  ],
  ['flag-2 is sh-port', { scheduler: 'sh', schedulerFlags: ['flag-2'] }, {}, 'sh', ['sh-fallback', 'sh-port']],
  ['rr has no flags', { scheduler: 'rr' }, {}, 'rr', []],
  [
    'flags of the pool do not follow another scheduler',
    { scheduler: 'mh', schedulerFlags: ['mh-port'] },
    { overrides: { scheduler: 'rr' } },
    'rr',
    [],
  ],
  [
    'flags of the Service win',
    { scheduler: 'mh', schedulerFlags: ['mh-port'] },
    { overrides: { schedulerFlags: ['mh-fallback'] } },
    'mh',
    ['mh-fallback'],
  ],
  [
    'affinity hashes the address only',
    { scheduler: 'mh', schedulerFlags: ['mh-port'] },
    { clientIpAffinitySeconds: 60 },
    'mh',
    ['mh-fallback'],
  ],
  ['affinity needs mh', { scheduler: 'wlc' }, { clientIpAffinitySeconds: 60 }, 'mh', ['mh-fallback']],
];

describe('effectiveBalancing', () => {
  for (const [what, balancing, service, scheduler, flags] of rows) {
    it(what, () => {
      const effective = effectiveBalancing(aPool({ balancing }), aService(service));
      assert.equal(effective.scheduler, scheduler);
      assert.deepEqual(effective.schedulerFlags, flags);
      assert.deepEqual(effective.problems, []);
      assert.deepEqual(effective.notes, []);
    });
  }

  it('names a flag of another scheduler', () => {
    const service = aService({ overrides: { scheduler: 'rr', schedulerFlags: ['sh-port'] } });
    const { problems, schedulerFlags } = effectiveBalancing(aPool(), service);
    assert.deepEqual(schedulerFlags, []);
    assert.match(problems.join(), /sh-port does not belong to scheduler rr: remove the flag or use scheduler sh/);
  });

  for (const [what, protocol, forwardingMethod, isNoted] of [
    ['UDP by Masquerading', 'UDP', 'Masquerading', true],
    ['UDP by DirectRouting', 'UDP', 'DirectRouting', false],
    ['UDP by a tunnel', 'UDP', 'Tunneling', false],
    ['TCP by Masquerading', 'TCP', 'Masquerading', false],
  ] as const) {
    it(`${isNoted ? 'notes' : 'does not note'} that answers of one packet are lost: ${what}`, () => {
      const pool = aPool({ balancing: { udpOnePacket: true, forwardingMethod } });
      const { notes } = effectiveBalancing(pool, aService({ ports: [aServicePort({ protocol })] }));
      assert.equal(/do not get answers/.test(notes.join()), isNoted);
    });
  }

  it('notes that affinity overrules a scheduler that the Service asks for', () => {
    const service = aService({ clientIpAffinitySeconds: 60, overrides: { scheduler: 'rr' } });
    assert.match(effectiveBalancing(aPool(), service).notes.join(), /Scheduler rr is not used.*mh/);
  });
});

describe('limits in effectiveBalancing', () => {
  const pool = aPool({ balancing: { connectionThresholds: { upper: 100, lower: 80 } } });
  const of = (overrides: Parameters<typeof aService>[0] = {}) => effectiveBalancing(pool, aService(overrides));
  it('are those of the pool, each overridden by the Service', () => {
    assert.deepEqual(of().connectionThresholds, { upper: 100, lower: 80 });
    assert.deepEqual(of({ overrides: { upperThreshold: 500 } }).connectionThresholds, { upper: 500, lower: 80 });
    assert.equal(of({ overrides: { udpOnePacket: true } }).udpOnePacket, true);
  });
  it('must not cross, also where pool and Service each give one', () => {
    const { problems } = of({ overrides: { upperThreshold: 50 } });
    assert.match(
      problems.join(),
      /^The lower threshold 80 of connections exceeds the upper one 50: lower the annotation/,
    );
  });
});

describe('backends in effectiveBalancing', () => {
  const pods = aPool({ balancing: { forwardingMethod: 'Masquerading', backends: 'Pods' } });
  it('are those of the pool, or of the Service', () => {
    assert.equal(effectiveBalancing(pods, aService()).backends, 'Pods');
    assert.equal(effectiveBalancing(pods, aService({ overrides: { backends: 'Nodes' } })).backends, 'Nodes');
  });
  it('cannot be pods by DirectRouting, whoever says so', () => {
    const routed = aService({ overrides: { forwardingMethod: 'DirectRouting' } });
    assert.match(effectiveBalancing(pods, routed).problems.join(), /^Pods cannot be reached by DirectRouting: set/);
    const sticky = aService({ overrides: { backends: 'Pods' }, clientIpAffinitySeconds: 60 });
    assert.match(effectiveBalancing(aPool(), sticky).problems.join(), /^Pods cannot be reached by DirectRouting/);
  });
});

describe('ipModeOf', () => {
  const service = aService();
  it('is VIP with direct routing, whatever the pool says', () => {
    assert.equal(ipModeOf(aPool(), service), 'VIP');
    assert.equal(ipModeOf(aPool({ ipMode: 'Proxy' }), service), 'VIP');
  });
  it('is VIP with tunnels', () => {
    assert.equal(ipModeOf(aPool({ balancing: { forwardingMethod: 'Tunneling' } }), service), 'VIP');
  });
  it('is Proxy with masquerading unless the pool says otherwise', () => {
    const balancing = { forwardingMethod: 'Masquerading' } as const;
    assert.equal(ipModeOf(aPool({ balancing }), service), 'Proxy');
    assert.equal(ipModeOf(aPool({ balancing, ipMode: 'VIP' }), service), 'VIP');
  });
  it('follows the override of the Service', () => {
    assert.equal(ipModeOf(aPool(), aService({ overrides: { forwardingMethod: 'Masquerading' } })), 'Proxy');
  });
});
