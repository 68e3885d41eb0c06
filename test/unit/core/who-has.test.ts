import assert from 'node:assert/strict';
import { describeAnswer, type LookUp, whoHas } from '../../../operator/core/who-has.ts';
import type { IpAddress } from '../../../operator/model/ip-address.ts';
import { serviceKey } from '../../../operator/model/load-balanced-service.ts';
import { SERVICE_CONDITION } from '../../../operator/model/names.ts';
import { aPool } from '../../builders/a-pool.ts';
import { aPublishedService, aService } from '../../builders/a-service.ts';

const V4 = '203.0.113.10' as IpAddress;
const SINCE = '2026-01-01T00:00:00Z';
const programmed = {
  type: SERVICE_CONDITION.programmed,
  status: 'True',
  reason: 'Programmed',
  message: 'Programmed on director lb-1.',
} as const;
const reservations = [{ address: V4, service: serviceKey('shop', 'api') }];
const held = [{ address: V4, service: serviceKey('shop', 'old'), until: Date.UTC(2026, 0, 2) }];

const rows: readonly [what: string, lookUp: Partial<LookUp>, answer: string][] = [
  [
    'has it',
    { services: [{ service: aPublishedService({ conditions: [programmed] }), since: SINCE }] },
    `Service default/web has it, from LoadBalancerPool web, since ${SINCE}. Programmed on director lb-1.`,
  ],
  [
    'is recorded only',
    { services: [{ service: aService({ record: { pool: 'web', addresses: [V4] } }) }] },
    'Service default/web has been given it, but does not show it yet, from LoadBalancerPool web.',
  ],
  [
    'only shows it',
    { services: [{ service: aService({ ingress: [V4] }) }] },
    'Service default/web shows it in its status, but we did not give it: somebody else wrote that.',
  ],
  [
    'it is reserved for',
    { pools: [{ pool: aPool({ reservations }), held: [] }] },
    'It is reserved for Service shop/api in LoadBalancerPool web.',
  ],
  [
    'had it',
    { pools: [{ pool: aPool(), held }] },
    'It is held for Service shop/old, which had it, until 2026-01-02T00:00:00.000Z.',
  ],
  ['could get it: nobody has it', {}, 'Nobody: it is free in LoadBalancerPool web.'],
  ['could not: it is outside', { pools: [] }, 'Nobody: it is outside every pool.'],
];

describe('Who has an address', () => {
  for (const [what, lookUp, answer] of rows)
    it(`tells who ${what}`, () => {
      const found = whoHas(V4, { services: [], pools: [{ pool: aPool(), held: [] }], ...lookUp });
      assert.equal(describeAnswer(found), `${V4}\n  ${answer}`);
    });

  it('tells all who share it', () => {
    const services = ['b', 'a'].map((name) => ({ service: aPublishedService({ name }) }));
    const { holders, pools } = whoHas(V4, { services, pools: [{ pool: aPool(), held: [] }] });
    assert.deepEqual([holders.map(({ service }) => service), pools], [['default/a', 'default/b'], ['web']]);
  });
});
