import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  type DirectorConfirmation,
  type ServiceStatusInput,
  serviceStatus,
} from '../../../operator/core/service-status.ts';
import type { IpAddress } from '../../../operator/model/ip-address.ts';
import { SERVICE_CONDITION } from '../../../operator/model/names.ts';
import { aPool } from '../../builders/a-pool.ts';
import { aPublishedService, aService, aServicePort } from '../../builders/a-service.ts';

const V4 = '203.0.113.10' as IpAddress;
const ASSIGNED = { kind: 'assigned', addresses: [V4], pool: 'web' } as const;

const says = (director: string, state: DirectorConfirmation['state'], rest: Partial<DirectorConfirmation> = {}) => ({
  director,
  ready: true,
  state,
  ...rest,
});
const away = (director: string, rest: Partial<DirectorConfirmation> = {}) =>
  says(director, 'Pending', { ready: false, message: 'No route to host.', ...rest });

function status(overrides: Partial<ServiceStatusInput> = {}) {
  const { ingress, conditions } = serviceStatus({
    service: aService(),
    decision: ASSIGNED,
    pool: aPool(),
    directors: [says('lb-1', 'Programmed'), says('lb-2', 'Programmed')],
    problems: [],
    ...overrides,
  });
  const condition = (type: string) => {
    const found = conditions.find((one) => one.type === type);
    return found === undefined ? undefined : `${found.status} ${found.reason}: ${found.message}`;
  };
  return {
    ingress: ingress.map(({ ip, ipMode }) => `${ip} ${ipMode}`),
    assigned: condition(SERVICE_CONDITION.addressAssigned),
    programmed: condition(SERVICE_CONDITION.programmed),
    conditions,
  };
}

describe('serviceStatus', () => {
  it('publishes what every director has confirmed', () => {
    const { ingress, assigned, programmed } = status();
    assert.deepEqual(ingress, ['203.0.113.10 VIP']);
    assert.equal(assigned, 'True Assigned: Address 203.0.113.10 from LoadBalancerPool web.');
    assert.equal(programmed, 'True Programmed: Programmed on director lb-1 and lb-2.');
  });

  it('names each port that is not served, and publishes the address for the others', () => {
    const ports = [aServicePort(), aServicePort({ name: 'dns', port: 53, protocol: 'UDP' })];
    const error = 'ipvs-operator.io/PersistentOnePacket';
    const portProblems = [{ port: 53, protocol: 'UDP', error, message: 'Port 53/UDP cannot.' }] as const;
    const input = { service: aService({ ports }), decision: ASSIGNED, pool: aPool(), problems: [], portProblems };
    const { ingress, conditions } = serviceStatus({ ...input, directors: [says('lb-1', 'Programmed')] });
    assert.deepEqual(ingress, [
      {
        ip: V4,
        ipMode: 'VIP',
        ports: [
          { port: 80, protocol: 'TCP' },
          { port: 53, protocol: 'UDP', error },
        ],
      },
    ]);
    const programmed = conditions.find(({ type }) => type === SERVICE_CONDITION.programmed);
    assert.equal(programmed?.status, 'False');
    assert.equal(programmed?.reason, 'PortsNotProgrammed');
    assert.equal(programmed?.message, 'Port 53/UDP cannot.');
  });

  type Row = readonly [
    what: string,
    directors: readonly DirectorConfirmation[],
    fresh: string | undefined,
    published: string | undefined,
    freshCondition: RegExp,
    publishedCondition: RegExp,
  ];
  const yes = '203.0.113.10 VIP';
  const no = undefined;
  const rows: readonly Row[] = [
    [
      'one ready, one away',
      [says('lb-1', 'Programmed'), away('lb-2')],
      yes,
      yes,
      /^True Programmed: Programmed on director lb-1\. Director lb-2 is not ready: No route/,
      /^True Programmed.*lb-2 is not ready/,
    ],
    [
      'one has not answered yet',
      [says('lb-1', 'Programmed'), says('lb-2', 'Pending')],
      no,
      yes,
      /^False Pending: Waiting for director lb-2/,
      /^True Programmed/,
    ],
    [
      'one has refused',
      [says('lb-1', 'Programmed'), says('lb-2', 'Failed', { message: 'Policy.' })],
      no,
      yes,
      /^False DirectorFailed: Director lb-2 refused: Policy\./,
      /^False DirectorFailed/,
    ],
    [
      'all have refused, nobody knows what they hold',
      [says('lb-1', 'Failed')],
      no,
      yes,
      /^False DirectorFailed/,
      /^False DirectorFailed/,
    ],
    [
      'all have refused and hold nothing',
      [says('lb-1', 'Failed', { holds: false })],
      no,
      no,
      /^False DirectorFailed/,
      /^False DirectorFailed/,
    ],
    [
      'one holds nothing, one that is away may',
      [says('lb-1', 'Failed', { holds: false }), away('lb-2')],
      no,
      yes,
      /^False/,
      /^False/,
    ],
    [
      'all are away',
      [away('lb-1'), away('lb-2')],
      no,
      yes,
      /^False NoDirectorReady: Director lb-1 is not ready: No route/,
      /^Unknown NoDirectorReady.*The address stays published/,
    ],
    [
      'all are away and are known to hold nothing',
      [away('lb-1', { holds: false })],
      no,
      yes,
      /^False NoDirectorReady/,
      /^Unknown/,
    ],
    [
      'away but confirmed earlier',
      [says('lb-1', 'Programmed', { ready: false })],
      no,
      yes,
      /^False NoDirectorReady/,
      /^Unknown/,
    ],
    [
      'no director is selected',
      [],
      no,
      yes,
      /^False NoDirectorSelected: .*LoadBalancerPool web matches no Director/,
      /^Unknown NoDirectorSelected/,
    ],
  ];
  for (const [what, directors, fresh, published, freshCondition, publishedCondition] of rows) {
    it(`${what}: a new address ${fresh ? 'is published' : 'waits'}, a published one ${published ? 'stays' : 'goes'}`, () => {
      const before = status({ directors });
      assert.deepEqual(before.ingress, fresh === undefined ? [] : [fresh]);
      assert.match(before.programmed ?? '', freshCondition);
      const after = status({ directors, service: aPublishedService() });
      assert.deepEqual(after.ingress, published === undefined ? [] : [published]);
      assert.match(after.programmed ?? '', publishedCondition);
    });
  }

  it('says why there is no address', () => {
    const decision = { kind: 'refused', reason: 'PoolExhausted', message: 'All in use.' } as const;
    const { ingress, assigned, programmed } = status({ decision, pool: undefined });
    assert.deepEqual(ingress, []);
    assert.equal(assigned, 'False PoolExhausted: All in use.');
    assert.equal(programmed, 'False NoAddress: There is no address to program.');
  });

  it('says that a wish is not met although there is an address', () => {
    const unmet = { reason: 'AddressInUse', message: 'Taken; the Service keeps 203.0.113.10.' } as const;
    const { ingress, assigned } = status({ decision: { ...ASSIGNED, unmet } });
    assert.deepEqual(ingress, [yes]);
    assert.equal(assigned, 'True AddressInUse: Taken; the Service keeps 203.0.113.10.');
  });

  it('publishes nothing new while something cannot be programmed, and takes nothing back', () => {
    const problems = ['Port 81 has no node port.'];
    assert.deepEqual(status({ problems }).ingress, []);
    assert.equal(status({ problems }).programmed, 'False CannotProgram: Port 81 has no node port.');
    assert.deepEqual(status({ problems, service: aPublishedService() }).ingress, [yes]);
  });

  it('adds what a person should know', () => {
    assert.match(
      status({ notes: ['Scheduler rr is not used.'] }).programmed ?? '',
      /^True .*Scheduler rr is not used\.$/,
    );
  });

  it('publishes Proxy with Masquerading, and changes the mode when the method changes', () => {
    const pool = aPool({ balancing: { forwardingMethod: 'Masquerading' } });
    assert.deepEqual(status({ pool }).ingress, ['203.0.113.10 Proxy']);
    assert.deepEqual(status({ pool, service: aPublishedService() }).ingress, ['203.0.113.10 Proxy']);
  });

  it('keeps the mode while the pool is away', () => {
    const service = { ...aPublishedService(), ingress: [{ ip: V4, ipMode: 'Proxy' as const }] };
    assert.deepEqual(status({ service, pool: undefined, directors: [] }).ingress, ['203.0.113.10 Proxy']);
  });

  it('publishes a second family when that is confirmed too; the first stays meanwhile', () => {
    const decision = { ...ASSIGNED, addresses: [V4, '2001:db8::10' as IpAddress] };
    const service = aPublishedService();
    assert.deepEqual(status({ decision, service, directors: [says('lb-1', 'Pending')] }).ingress, [yes]);
    assert.deepEqual(status({ decision, service }).ingress, [yes, '2001:db8::10 VIP']);
  });

  it('does not show an address that the Service gave up', () => {
    const decision = { ...ASSIGNED, addresses: ['203.0.113.12' as IpAddress] };
    assert.deepEqual(
      status({ decision, service: aPublishedService(), directors: [says('lb-1', 'Pending')] }).ingress,
      [],
    );
  });

  it('is empty for a Service that is not wanted', () => {
    const { ingress, conditions } = status({ service: aPublishedService({ wanted: false }) });
    assert.deepEqual([ingress, conditions], [[], []]);
  });

  it('carries the generation when the API server counts one', () => {
    assert.ok(status().conditions.every((condition) => !('observedGeneration' in condition)));
    assert.ok(status({ service: aService({ generation: 7 }) }).conditions.every((one) => one.observedGeneration === 7));
  });

  it('publishes only when all ready directors have confirmed, one at least (I3), and is stable once written', () => {
    const anyDirector = fc.record({
      director: fc.constantFrom('lb-1', 'lb-2', 'lb-3'),
      ready: fc.boolean(),
      state: fc.constantFrom('Programmed' as const, 'Pending' as const, 'Failed' as const),
    });
    const some = fc.uniqueArray(anyDirector, { selector: ({ director }) => director });
    fc.assert(
      fc.property(some, (directors) => {
        const ready = directors.filter((one) => one.ready);
        const confirmed = ready.length > 0 && ready.every(({ state }) => state === 'Programmed');
        const first = status({ directors });
        assert.equal(first.ingress.length, confirmed ? 1 : 0);
        if (!confirmed) return;
        assert.deepEqual(status({ directors, service: aPublishedService() }), first, 'a second pass writes nothing');
      }),
    );
  });
});
