import assert from 'node:assert/strict';
import type {
  Answer,
  ApplyRequest,
  ApplyResult,
  DirectorSession,
  HelperError,
  ReadKeysResult,
} from '../../../operator/controllers/ports.ts';
import type { IpAddress } from '../../../operator/model/ip-address.ts';
import {
  compareVirtualServerKeys,
  formatVirtualServerKey,
  type VirtualServer,
  type VirtualServerKey,
} from '../../../operator/model/virtual-server.ts';
import { aRealServer, aVirtualServer } from '../../builders/a-virtual-server.ts';
import { fakeSubject, GRANTED, helperSubject, type Subject } from './contract-subjects.ts';

const web = aVirtualServer({ realServers: [aRealServer(), aRealServer({ address: '192.0.2.22' })] });
const WEB = 'TCP 203.0.113.10:80';
const dns = aVirtualServer({
  address: '203.0.113.11',
  port: 53,
  protocol: 'UDP',
  scheduler: 'rr',
  schedulerFlags: [],
  realServers: [aRealServer({ port: 53 })],
});
const DNS = 'UDP 203.0.113.11:53';

function applyRequest(overrides: Partial<ApplyRequest>): ApplyRequest {
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

function accepted<T>(answer: Answer<T>): T {
  assert.equal(answer.kind, 'ok', JSON.stringify(answer));
  return (answer as { value: T }).value;
}

async function put(session: DirectorSession, ...virtualServers: VirtualServer[]): Promise<ApplyResult> {
  return accepted(await session.apply(applyRequest({ virtualServers })));
}

async function remove(session: DirectorSession, ...absent: VirtualServerKey[]): Promise<ApplyResult> {
  return accepted(await session.apply(applyRequest({ absent })));
}

async function keysOf(session: DirectorSession): Promise<ReadKeysResult> {
  return accepted(await session.readKeys());
}

function kinds(result: ApplyResult): string[] {
  return result.changes.map(({ kind, object }) => `${kind} ${object}`);
}

function texts(keys: readonly VirtualServerKey[]): string[] {
  return [...keys].sort(compareVirtualServerKeys).map(formatVirtualServerKey);
}

function refusalsOf(errors: readonly HelperError[]): string[] {
  return errors.map((each) => `${each.class} ${each.object}`).sort();
}

/** Everything was done, and the same again has nothing to do. */
async function assertSettled(
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

const subjects: [name: string, start: () => Promise<Subject>][] = [
  ['the fake director', fakeSubject],
  ['the helper behind sshd', helperSubject],
];

for (const [name, startSubject] of subjects) {
  describe(`the contract of a director session, kept by ${name}`, function () {
    this.timeout(20_000);
    let subject: Subject;
    let session: DirectorSession;

    before(async () => {
      subject = await startSubject();
    });
    beforeEach(async () => {
      await subject.reset();
      session = await subject.open();
    });
    after(() => subject.stop());

    it('says who it is before anything else', () => {
      const { owner, protocol, epoch, generation, capabilities, problems } = session.hello;
      assert.deepEqual([owner, protocol.min, epoch, generation, problems], ['prod', 1, 0, 0, []]);
      assert.ok(capabilities.schedulers.includes('mh'));
      assert.deepEqual([...capabilities.forwardingMethods], ['DirectRouting', 'Masquerading']);
      assert.deepEqual([...capabilities.families], ['IPv4', 'IPv6']);
    });

    it('answers a ping', async () => assert.deepEqual(await session.ping(), { kind: 'ok', value: undefined }));

    it('answers requests in the order in which they were made', async () => {
      const order: string[] = [];
      await Promise.all([
        put(session, web).then(() => order.push('apply')),
        session.ping().then(() => order.push('ping')),
        keysOf(session).then(({ keys }) => order.push(`read ${keys.length}`)),
      ]);
      assert.deepEqual(order, ['apply', 'ping', 'read 1']);
    });

    describe('making virtual servers', () => {
      it('adds one whole, then its address, and counts the writes', async () => {
        const result = await put(session, web);
        assert.deepEqual(kinds(result), [
          `addVirtualServer ${WEB}`,
          `addRealServer ${WEB}`,
          `addRealServer ${WEB}`,
          'addAddress 203.0.113.10',
        ]);
        assert.deepEqual([result.writes, result.totalWrites], [4, 4]);
        assert.deepEqual(result.counts, {
          virtualServers: 1,
          realServers: 2,
          foreign: 0,
          orphans: 0,
          activeConnections: 0,
          inactiveConnections: 0,
        });
        assert.ok(result.changes.every(({ sentence }) => sentence.length > 0));
        await assertSettled(session, result, web);
      });

      it('is seen by a read', async () => {
        const { tableHash } = await put(session, web, dns);
        const read = await keysOf(session);
        assert.deepEqual(texts(read.keys), [WEB, DNS]);
        assert.deepEqual([read.foreign, read.orphans], [[], []]);
        assert.deepEqual(read.addresses, [web.address, dns.address]);
        assert.deepEqual([read.tableHash, read.totalWrites], [tableHash, 7]);
        assert.equal(read.counts.realServers, 3);
      });

      it('adds no address twice', async () => {
        await put(session, web);
        const second = aVirtualServer({ port: 443, realServers: [] });
        assert.deepEqual(kinds(await put(session, second)), ['addVirtualServer TCP 203.0.113.10:443']);
      });

      const others: [name: string, virtualServer: VirtualServer][] = [
        ['one without real servers', aVirtualServer({ realServers: [] })],
        ['SCTP', aVirtualServer({ protocol: 'SCTP' })],
        ['one-packet UDP', aVirtualServer({ protocol: 'UDP', onePacket: true })],
        ['persistence', aVirtualServer({ persistence: { timeoutSeconds: 10_800, prefixLength: 24 } })],
        [
          'IPv6 with masquerading, thresholds and another port',
          aVirtualServer({
            address: '2001:db8:1::10',
            realServers: [
              aRealServer({
                address: '2001:db8:2::21',
                port: 30_080,
                forwardingMethod: 'Masquerading',
                upperThreshold: 100,
                lowerThreshold: 80,
              }),
            ],
          }),
        ],
        [
          'the largest numbers',
          aVirtualServer({ port: 65_535, realServers: [aRealServer({ port: 65_535, weight: 2 ** 31 - 1 })] }),
        ],
      ];
      for (const [what, virtualServer] of others) {
        it(`makes ${what}, and finds it as it was made`, async () => {
          await assertSettled(session, await put(session, virtualServer), virtualServer);
        });
      }
    });

    describe('changing a virtual server', () => {
      const changes: [name: string, changed: VirtualServer, expected: string[]][] = [
        ['its scheduler', { ...web, scheduler: 'wrr', schedulerFlags: [] }, ['editVirtualServer']],
        ['its flags', { ...web, schedulerFlags: ['mh-fallback', 'mh-port'] }, ['editVirtualServer']],
        ['its persistence', { ...web, persistence: { timeoutSeconds: 60, prefixLength: 32 } }, ['editVirtualServer']],
        [
          'a weight',
          { ...web, realServers: [aRealServer({ weight: 5 }), aRealServer({ address: '192.0.2.22' })] },
          ['editRealServer'],
        ],
        ['one real server less', { ...web, realServers: [aRealServer()] }, ['deleteRealServer']],
        [
          'one real server for another, the new one first',
          { ...web, realServers: [aRealServer(), aRealServer({ address: '192.0.2.23' })] },
          ['addRealServer', 'deleteRealServer'],
        ],
        [
          'everything at once, what brings capacity first',
          {
            ...web,
            schedulerFlags: [],
            realServers: [aRealServer({ weight: 0 }), aRealServer({ address: '192.0.2.23' })],
          },
          ['addRealServer', 'editVirtualServer', 'editRealServer', 'deleteRealServer'],
        ],
        ['nothing but the order of its real servers', { ...web, realServers: web.realServers.toReversed() }, []],
      ];
      for (const [what, changed, expected] of changes) {
        it(`changes ${what}, in place`, async () => {
          await put(session, web);
          const result = await put(session, changed);
          assert.deepEqual(
            kinds(result),
            expected.map((kind) => `${kind} ${WEB}`),
          );
          await assertSettled(session, result, changed);
        });
      }

      it('leaves what is not listed alone', async () => {
        await put(session, web, dns);
        assert.deepEqual(kinds(await put(session, { ...dns, scheduler: 'wrr' })), [`editVirtualServer ${DNS}`]);
        assert.deepEqual(texts((await keysOf(session)).keys), [WEB, DNS]);
      });

      it('moves the address to another interface', async () => {
        await put(session, web);
        const result = accepted(await session.apply(applyRequest({ virtualServers: [web], interface: 'dummy0' })));
        assert.deepEqual(kinds(result), ['addAddress 203.0.113.10', 'deleteAddress 203.0.113.10']);
        assert.deepEqual((await keysOf(session)).addresses, [web.address]);
      });
    });

    describe('removing virtual servers', () => {
      it('takes the address down first, and leaves nothing', async () => {
        const { tableHash: empty } = await keysOf(session);
        await put(session, web);
        const result = await remove(session, web);
        assert.deepEqual(kinds(result), ['deleteAddress 203.0.113.10', `deleteVirtualServer ${WEB}`]);
        assert.deepEqual([result.failed, result.tableHash, result.counts.virtualServers], [[], empty, 0]);
        const read = await keysOf(session);
        assert.deepEqual([read.keys, read.addresses], [[], []]);
      });

      it('has nothing to do for one that is not there', async () => {
        const result = await remove(session, web);
        assert.deepEqual([result.changes, result.failed, result.writes], [[], [], 0]);
      });

      it('keeps the address as long as another virtual server has it', async () => {
        const second = aVirtualServer({ port: 443 });
        await put(session, web, { ...second, realServers: [] });
        assert.deepEqual(kinds(await remove(session, web)), [`deleteVirtualServer ${WEB}`]);
        assert.deepEqual(kinds(await remove(session, second)), [
          'deleteAddress 203.0.113.10',
          'deleteVirtualServer TCP 203.0.113.10:443',
        ]);
      });

      it('removes with scope all what is not listed', async () => {
        await put(session, web, dns);
        const result = accepted(await session.apply(applyRequest({ scope: 'all', virtualServers: [dns] })));
        assert.deepEqual(kinds(result), ['deleteAddress 203.0.113.10', `deleteVirtualServer ${WEB}`]);
        assert.deepEqual(texts((await keysOf(session)).keys), [DNS]);
      });

      it('keeps with scope all what is listed and refused', async () => {
        await put(session, web);
        const outside = { ...web, realServers: [aRealServer({ address: '198.51.100.1' })] };
        const result = accepted(await session.apply(applyRequest({ scope: 'all', virtualServers: [outside] })));
        assert.deepEqual([result.changes, refusalsOf(result.errors)], [[], [`policy ${WEB}`]]);
        assert.deepEqual(texts((await keysOf(session)).keys), [WEB]);
      });

      it('refuses scope all with absent keys, whole', async () => {
        const answer = await session.apply(applyRequest({ scope: 'all', absent: [web] }));
        assert.equal(answer.kind === 'refused' && answer.error.class, 'protocol');
      });
    });

    describe('a dry run', () => {
      it('tells what would be done, and does nothing', async () => {
        const { tableHash } = await put(session, dns);
        const request = applyRequest({ dryRun: true, scope: 'all', epoch: 9, virtualServers: [web] });
        const result = accepted(await session.apply(request));
        assert.deepEqual(kinds(result), [
          `addVirtualServer ${WEB}`,
          `addRealServer ${WEB}`,
          `addRealServer ${WEB}`,
          'addAddress 203.0.113.10',
          'deleteAddress 203.0.113.11',
          `deleteVirtualServer ${DNS}`,
        ]);
        assert.deepEqual([result.writes, result.totalWrites, result.tableHash, result.failed], [0, 3, tableHash, []]);
        assert.deepEqual(texts((await keysOf(session)).keys), [DNS]);
        assert.equal((await session.apply(applyRequest({ epoch: 2 }))).kind, 'ok', 'the dry run has moved the fence');
      });

      it('is not fenced', async () => {
        accepted(await session.apply(applyRequest({ epoch: 5 })));
        assert.equal((await session.apply(applyRequest({ epoch: 1, dryRun: true }))).kind, 'ok');
      });
    });

    describe('fencing', () => {
      const older: [name: string, epoch: number, generation: number][] = [
        ['an older epoch', 2, 99],
        ['an older generation', 3, 16],
      ];
      for (const [what, epoch, generation] of older) {
        it(`refuses ${what}, says which is highest, and writes nothing`, async () => {
          accepted(await session.apply(applyRequest({ epoch: 3, generation: 17 })));
          const answer = await session.apply(applyRequest({ epoch, generation, virtualServers: [web] }));
          assert.ok(answer.kind === 'refused');
          assert.deepEqual([answer.error.class, answer.error.highest], ['fenced', { epoch: 3, generation: 17 }]);
          assert.deepEqual((await keysOf(session)).keys, []);
        });
      }

      it('accepts the same pair again, and higher ones', async () => {
        for (const [epoch, generation] of [
          [3, 17],
          [3, 17],
          [3, 18],
          [4, 1],
        ] as const) {
          accepted(await session.apply(applyRequest({ epoch, generation })));
        }
      });

      it('is remembered over sessions, and so are the writes', async () => {
        accepted(await session.apply(applyRequest({ epoch: 3, generation: 17, virtualServers: [web] })));
        await subject.flush();
        const next = await subject.open();
        assert.deepEqual([next.hello.epoch, next.hello.generation], [3, 17]);
        assert.equal((await next.apply(applyRequest({ epoch: 2 }))).kind, 'refused');
        assert.equal((await keysOf(next)).totalWrites, 4);
      });
    });

    describe('one bad object', () => {
      const outside = aVirtualServer({ address: '203.0.113.200' });
      const bad: [name: string, errorClass: string, virtualServer: VirtualServer][] = [
        ['an address that the policy does not grant', 'policy', outside],
        [
          'a real server that it does not grant',
          'policy',
          { ...web, realServers: [aRealServer({ address: '198.51.100.1' })] },
        ],
        [
          'a port that direct routing cannot translate',
          'object',
          { ...web, realServers: [aRealServer({ port: 8080 })] },
        ],
        ['a flag of another scheduler', 'object', { ...web, schedulerFlags: ['sh-port'] }],
        ['one-packet TCP', 'object', { ...web, onePacket: true }],
        [
          'a real server of the other family',
          'object',
          { ...web, realServers: [aRealServer({ address: '2001:db8:2::1' })] },
        ],
        [
          'a real server that is listed twice',
          'object',
          { ...web, realServers: [aRealServer(), aRealServer({ weight: 2 })] },
        ],
        [
          'thresholds out of order',
          'object',
          { ...web, realServers: [aRealServer({ upperThreshold: 1, lowerThreshold: 2 })] },
        ],
        [
          'a persistence prefix of the other family',
          'object',
          { ...web, persistence: { timeoutSeconds: 60, prefixLength: 64 } },
        ],
        [
          'a persistence without end',
          'object',
          { ...web, persistence: { timeoutSeconds: 2 ** 31 - 1, prefixLength: 32 } },
        ],
      ];
      for (const [what, errorClass, virtualServer] of bad) {
        it(`is refused for ${what}; the others are done`, async () => {
          const key = formatVirtualServerKey(virtualServer);
          const result = await put(session, virtualServer, dns);
          assert.deepEqual(refusalsOf(result.errors), [`${errorClass} ${key}`]);
          assert.deepEqual(texts(result.failed), [key]);
          assert.ok(result.errors[0]?.message.startsWith(key), result.errors[0]?.message);
          assert.deepEqual(texts((await keysOf(session)).keys), [DNS]);
        });
      }

      it('may also be one that shall go: outside of the policy it is not ours to remove', async () => {
        const result = await remove(session, outside);
        assert.deepEqual(refusalsOf(result.errors), ['policy TCP 203.0.113.200:80']);
        assert.deepEqual(texts(result.failed), ['TCP 203.0.113.200:80']);
      });

      it('is one that is listed twice, once refused', async () => {
        const answer = await session.apply(applyRequest({ virtualServers: [web, dns], absent: [web] }));
        const result = accepted(answer);
        assert.deepEqual([refusalsOf(result.errors), texts(result.failed)], [[`object ${WEB}`], [WEB]]);
        assert.deepEqual(texts((await keysOf(session)).keys), [DNS]);
      });

      it('is the interface: then all is refused', async () => {
        const answer = await session.apply(applyRequest({ virtualServers: [web], interface: 'eth0' }));
        assert.equal(answer.kind === 'refused' && answer.error.class, 'policy');
        assert.deepEqual((await keysOf(session)).keys, []);
      });
    });

    describe('what is not ours', () => {
      it('is adopted without a write when it is as wanted', async () => {
        const { tableHash } = await put(session, web);
        subject.loseLedger();
        const before = await keysOf(session);
        assert.deepEqual([before.keys, texts(before.orphans), before.counts.orphans], [[], [WEB], 1]);
        const result = await put(session, web);
        assert.deepEqual([result.changes, result.failed, result.writes, result.tableHash], [[], [], 0, tableHash]);
        assert.deepEqual(texts((await keysOf(session)).keys), [WEB]);
      });

      it('is a collision when it is other than wanted, and stays as it is', async () => {
        await put(session, web);
        subject.loseLedger();
        const result = await put(session, { ...web, scheduler: 'rr', schedulerFlags: [] }, dns);
        assert.deepEqual([refusalsOf(result.errors), texts(result.failed)], [[`collision ${WEB}`], [WEB]]);
        const read = await keysOf(session);
        assert.deepEqual([texts(read.keys), texts(read.orphans)], [[DNS], [WEB]]);
      });

      it('is a collision when it shall go, and stays', async () => {
        await put(session, web);
        subject.loseLedger();
        const result = await remove(session, web);
        assert.deepEqual([refusalsOf(result.errors), texts(result.failed)], [[`collision ${WEB}`], [WEB]]);
        assert.deepEqual(texts((await keysOf(session)).orphans), [WEB]);
      });

      it('is left alone with scope all', async () => {
        await put(session, web);
        subject.loseLedger();
        const result = accepted(await session.apply(applyRequest({ scope: 'all' })));
        assert.deepEqual([result.changes, result.errors, result.counts.orphans], [[], [], 1]);
      });

      it('is foreign outside of what the policy grants, though we made it', async () => {
        await put(session, web, dns);
        subject.grant(['203.0.113.11/32']);
        const read = await keysOf(session);
        assert.deepEqual([texts(read.keys), texts(read.foreign), read.orphans], [[DNS], [WEB], []]);
        const result = accepted(await session.apply(applyRequest({ scope: 'all' })));
        assert.deepEqual(kinds(result), ['deleteAddress 203.0.113.11', `deleteVirtualServer ${DNS}`]);
        assert.equal(result.counts.foreign, 1);
        subject.grant(GRANTED);
      });
    });

    it('repairs what somebody else has removed', async () => {
      const made = await put(session, web, dns);
      await subject.flush();
      const next = await subject.open();
      assert.deepEqual((await keysOf(next)).keys, []);
      const result = accepted(await next.apply(applyRequest({ scope: 'all', virtualServers: [web, dns] })));
      assert.deepEqual([kinds(result), result.tableHash], [kinds(made), made.tableHash]);
      assert.equal(result.totalWrites, 2 * made.totalWrites);
    });

    it('has equal hashes for equal tables, however they came about, and others for others', async () => {
      const first = await put(session, web, dns);
      await remove(session, web, dns);
      await put(session, { ...dns, realServers: [] });
      const second = await put(session, { ...web, realServers: web.realServers.toReversed() }, dns);
      assert.equal(second.tableHash, first.tableHash);
      const third = await put(session, { ...dns, scheduler: 'wrr' });
      assert.notEqual(third.tableHash, first.tableHash);
    });

    it('carries a large table in one request, and takes it away in one', async () => {
      const realServers = Array.from({ length: 20 }, (_, index) => aRealServer({ address: `192.0.2.${index + 1}` }));
      const virtualServers = Array.from({ length: 500 }, (_, index) => {
        const port = 1000 + index;
        return aVirtualServer({ port, realServers: realServers.map((real) => ({ ...real, port })) });
      });
      const result = await put(session, ...virtualServers);
      assert.deepEqual([result.failed, result.writes, result.counts.realServers], [[], 500 * 21 + 1, 10_000]);
      const read = await keysOf(session);
      assert.deepEqual([read.keys.length, read.tableHash], [500, result.tableHash]);
      const emptied = accepted(await session.apply(applyRequest({ scope: 'all' })));
      assert.deepEqual([emptied.writes, emptied.counts.virtualServers], [501, 0]);
    });

    it('keeps addresses in order, IPv4 first', async () => {
      const addresses = ['2001:db8:1::2', '203.0.113.100', '203.0.113.20', '2001:db8:1::1'];
      await put(session, ...addresses.map((address) => aVirtualServer({ address, realServers: [] })));
      const inOrder = ['203.0.113.20', '203.0.113.100', '2001:db8:1::1', '2001:db8:1::2'] as IpAddress[];
      const read = await keysOf(session);
      assert.deepEqual([read.keys.map(({ address }) => address), read.addresses], [inOrder, inOrder]);
    });
  });
}
