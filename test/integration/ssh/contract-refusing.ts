import assert from 'node:assert/strict';
import { deletionLimitOf } from '../../../operator/controllers/lane-deletions.ts';
import { formatVirtualServerKey, type VirtualServer } from '../../../operator/model/virtual-server.ts';
import { aRealServer, aVirtualServer } from '../../builders/a-virtual-server.ts';
import {
  accepted,
  applyRequest,
  type CaseSubject,
  DNS,
  dns,
  keysOf,
  kinds,
  put,
  refusalsOf,
  remove,
  texts,
  WEB,
  web,
} from './contract-requests.ts';
import { GRANTED } from './contract-subjects.ts';

/** What is not done: dry runs, older writers, bad objects, what belongs to others. */
export function refusingCases(at: CaseSubject): void {
  describe('a dry run', () => {
    it('tells what would be done, and does nothing', async () => {
      const { tableHash } = await put(at.session, dns);
      const request = applyRequest({ dryRun: true, scope: 'all', epoch: 9, virtualServers: [web] });
      const result = accepted(await at.session.apply(request));
      assert.deepEqual(kinds(result), [
        `addVirtualServer ${WEB}`,
        `addRealServer ${WEB}`,
        `addRealServer ${WEB}`,
        'addAddress 203.0.113.10',
        'deleteAddress 203.0.113.11',
        `deleteVirtualServer ${DNS}`,
      ]);
      assert.deepEqual([result.writes, result.totalWrites, result.tableHash, result.failed], [0, 3, tableHash, []]);
      assert.deepEqual(texts((await keysOf(at.session)).keys), [DNS]);
      assert.equal((await at.session.apply(applyRequest({ epoch: 2 }))).kind, 'ok', 'the dry run has moved the fence');
    });

    it('is not fenced', async () => {
      accepted(await at.session.apply(applyRequest({ epoch: 5 })));
      assert.equal((await at.session.apply(applyRequest({ epoch: 1, dryRun: true }))).kind, 'ok');
    });
  });

  describe('fencing', () => {
    const older: [name: string, epoch: number, generation: number][] = [
      ['an older epoch', 2, 99],
      ['an older generation', 3, 16],
    ];
    for (const [what, epoch, generation] of older) {
      it(`refuses ${what}, says which is highest, and writes nothing`, async () => {
        accepted(await at.session.apply(applyRequest({ epoch: 3, generation: 17 })));
        const answer = await at.session.apply(applyRequest({ epoch, generation, virtualServers: [web] }));
        assert.ok(answer.kind === 'refused');
        assert.deepEqual([answer.error.class, answer.error.highest], ['fenced', { epoch: 3, generation: 17 }]);
        assert.deepEqual((await keysOf(at.session)).keys, []);
      });
    }

    it('accepts the same pair again, and higher ones', async () => {
      for (const [epoch, generation] of [
        [3, 17],
        [3, 17],
        [3, 18],
        [4, 1],
      ] as const) {
        accepted(await at.session.apply(applyRequest({ epoch, generation })));
      }
    });

    it('is remembered over sessions, and so are the writes', async () => {
      accepted(await at.session.apply(applyRequest({ epoch: 3, generation: 17, virtualServers: [web] })));
      await at.subject.flush();
      const next = await at.subject.open();
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
      ['a port that direct routing cannot translate', 'object', { ...web, realServers: [aRealServer({ port: 8080 })] }],
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
        const result = await put(at.session, virtualServer, dns);
        assert.deepEqual(refusalsOf(result.errors), [`${errorClass} ${key}`]);
        assert.deepEqual(texts(result.failed), [key]);
        assert.ok(result.errors[0]?.message.startsWith(key), result.errors[0]?.message);
        assert.deepEqual(texts((await keysOf(at.session)).keys), [DNS]);
      });
    }

    it('may also be one that shall go: outside of the policy it is not ours to remove', async () => {
      const result = await remove(at.session, outside);
      assert.deepEqual(refusalsOf(result.errors), ['policy TCP 203.0.113.200:80']);
      assert.deepEqual(texts(result.failed), ['TCP 203.0.113.200:80']);
    });

    it('is one that is listed twice, once refused', async () => {
      const answer = await at.session.apply(applyRequest({ virtualServers: [web, dns], absent: [web] }));
      const result = accepted(answer);
      assert.deepEqual([refusalsOf(result.errors), texts(result.failed)], [[`object ${WEB}`], [WEB]]);
      assert.deepEqual(texts((await keysOf(at.session)).keys), [DNS]);
    });

    it('is the interface: then all is refused', async () => {
      const answer = await at.session.apply(applyRequest({ virtualServers: [web], interface: 'eth0' }));
      assert.equal(answer.kind === 'refused' && answer.error.class, 'policy');
      assert.deepEqual((await keysOf(at.session)).keys, []);
    });
  });

  describe('more deletions than the policy allows', () => {
    it('are refused, all of them, with the limit; the rest is done', async () => {
      const [kept, leaving] = web.realServers;
      assert.ok(kept !== undefined && leaving !== undefined);
      await put(at.session, web, dns);
      at.subject.grant(GRANTED, 1);
      const added = aRealServer({ ...kept, address: '192.0.2.99' });
      const changed = { ...web, drainSeconds: 60, realServers: [kept, added] };
      const result = accepted(await at.session.apply(applyRequest({ virtualServers: [changed], absent: [dns] })));
      assert.deepEqual(refusalsOf(result.errors).sort(), [`policy ${WEB}`, `policy ${DNS}`].sort());
      assert.deepEqual(texts(result.failed).sort(), [DNS, WEB].sort());
      assert.deepEqual(kinds(result), [`addRealServer ${WEB}`]);
      assert.deepEqual(result.errors.map(deletionLimitOf), [1, 1]);
      const next = await put(at.session, changed);
      assert.deepEqual([kinds(next), next.errors], [[`drainRealServer ${WEB}`], []]);
      assert.deepEqual((await remove(at.session, dns)).errors, []);
      at.subject.grant(GRANTED);
    });
  });

  describe('what is not ours', () => {
    it('is adopted without a write when it is as wanted', async () => {
      const { tableHash } = await put(at.session, web);
      at.subject.loseLedger();
      const before = await keysOf(at.session);
      assert.deepEqual([before.keys, texts(before.orphans), before.counts.orphans], [[], [WEB], 1]);
      const result = await put(at.session, web);
      assert.deepEqual([result.changes, result.failed, result.writes, result.tableHash], [[], [], 0, tableHash]);
      assert.deepEqual(texts((await keysOf(at.session)).keys), [WEB]);
    });

    it('is a collision when it is other than wanted, and stays as it is', async () => {
      await put(at.session, web);
      at.subject.loseLedger();
      const result = await put(at.session, { ...web, scheduler: 'rr', schedulerFlags: [] }, dns);
      assert.deepEqual([refusalsOf(result.errors), texts(result.failed)], [[`collision ${WEB}`], [WEB]]);
      const read = await keysOf(at.session);
      assert.deepEqual([texts(read.keys), texts(read.orphans)], [[DNS], [WEB]]);
    });

    it('is a collision when it shall go, and stays', async () => {
      await put(at.session, web);
      at.subject.loseLedger();
      const result = await remove(at.session, web);
      assert.deepEqual([refusalsOf(result.errors), texts(result.failed)], [[`collision ${WEB}`], [WEB]]);
      assert.deepEqual(texts((await keysOf(at.session)).orphans), [WEB]);
    });

    it('is left alone with scope all', async () => {
      await put(at.session, web);
      at.subject.loseLedger();
      const result = accepted(await at.session.apply(applyRequest({ scope: 'all' })));
      assert.deepEqual([result.changes, result.errors, result.counts.orphans], [[], [], 1]);
    });

    it('is foreign outside of what the policy grants, though we made it', async () => {
      await put(at.session, web, dns);
      at.subject.grant(['203.0.113.11/32']);
      const read = await keysOf(at.session);
      assert.deepEqual([texts(read.keys), texts(read.foreign), read.orphans], [[DNS], [WEB], []]);
      const result = accepted(await at.session.apply(applyRequest({ scope: 'all' })));
      assert.deepEqual(kinds(result), ['deleteAddress 203.0.113.11', `deleteVirtualServer ${DNS}`]);
      assert.equal(result.counts.foreign, 1);
      at.subject.grant(GRANTED);
    });
  });
}
