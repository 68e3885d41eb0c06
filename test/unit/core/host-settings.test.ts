import assert from 'node:assert/strict';
import { hostCondition } from '../../../operator/core/host-condition.ts';
import { hostSettings, timeoutsCondition } from '../../../operator/core/host-settings.ts';
import type { BalancingOptions } from '../../../operator/model/balancing-options.ts';
import { aDirector } from '../../builders/a-director.ts';
import { aPool } from '../../builders/a-pool.ts';

const SHORT = { tcpSeconds: 60, tcpFinSeconds: 30, udpSeconds: 10 };
const LONG = { tcpSeconds: 3_600, tcpFinSeconds: 120, udpSeconds: 300 };
const pool = (name: string, createdAt: number, balancing: Partial<BalancingOptions> = {}, site = 'rack-a') =>
  aPool({ name, createdAt, balancing, directorSelector: { matchLabels: { site } } });

describe('hostSettings', () => {
  it('asks nothing of a director that no pool selects', () => {
    assert.equal(hostSettings(aDirector(), [pool('elsewhere', 1, { snat: true }, 'rack-b')]), undefined);
  });

  it('asks for what every pool needs, and for connection tracking only where a pool masquerades', () => {
    const plain = hostSettings(aDirector(), [pool('web', 1), pool('elsewhere', 1, { snat: true }, 'rack-b')]);
    assert.deepEqual(plain, {
      sysctls: {
        'net.ipv4.vs.expire_nodest_conn': '1',
        'net.ipv4.vs.expire_quiescent_template': '1',
        'net.ipv4.vs.sloppy_tcp': '1',
      },
    });
    const snat = hostSettings(aDirector(), [pool('web', 1), pool('nat', 2, { snat: true })]);
    assert.equal(snat?.sysctls['net.ipv4.vs.conntrack'], '1');
  });

  it('has the timeouts of the oldest pool that has some, by name where two are of one second', () => {
    const timeoutsOf = (...pools: Parameters<typeof hostSettings>[1]) => hostSettings(aDirector(), pools)?.timeouts;
    assert.deepEqual(timeoutsOf(pool('plain', 1), pool('b', 3, { timeouts: SHORT })), SHORT);
    assert.deepEqual(timeoutsOf(pool('b', 3, { timeouts: SHORT }), pool('a', 2, { timeouts: LONG })), LONG);
    assert.deepEqual(timeoutsOf(pool('b', 3, { timeouts: SHORT }), pool('a', 3, { timeouts: LONG })), LONG);
  });
});

describe('timeoutsCondition', () => {
  const older = pool('older', 1, { timeouts: LONG });
  const younger = pool('younger', 2, { timeouts: SHORT });
  const told = (of: typeof older, ...others: (typeof older)[]) => {
    const condition = timeoutsCondition(of, [of, ...others], [aDirector()]);
    return condition && `${condition.status} ${condition.reason}`;
  };

  it('is there only for pools with timeouts', () => assert.equal(told(pool('plain', 1), older), undefined));
  it('is True for the oldest, and for one that agrees with it', () => {
    assert.equal(told(older, younger), 'True Applied');
    assert.equal(told(younger, pool('same', 1, { timeouts: SHORT })), 'True Applied');
    assert.equal(told(younger, pool('elsewhere', 1, { timeouts: LONG }, 'rack-b')), 'True Applied');
  });
  it('names director and pool where another one decides', () => {
    assert.equal(told(younger, older), 'False TimeoutsOfOlderPool');
    const message = timeoutsCondition(younger, [older, younger], [aDirector()])?.message ?? '';
    assert.match(message, /^Director lb-1 has the timeouts of LoadBalancerPool older, .* Make spec\.timeouts equal/);
  });
});

describe('hostCondition', () => {
  it('is absent before anything was asked', () => assert.equal(hostCondition(undefined), undefined));
  it('is True when nothing was refused', () => assert.equal(hostCondition([])?.status, 'True'));
  it('tells what was refused, and both remedies', () => {
    const condition = hostCondition(['sysctl net.ipv4.vs.conntrack: not granted.']);
    assert.equal(condition?.reason, 'NotGranted');
    assert.match(
      condition?.message ?? '',
      /^sysctl net\.ipv4\.vs\.conntrack: not granted\. Set them on the host, or grant/,
    );
  });
});
