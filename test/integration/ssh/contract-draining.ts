import assert from 'node:assert/strict';
import { aRealServer } from '../../builders/a-virtual-server.ts';
import { waitFor } from '../../lab/wait-for.ts';
import {
  accepted,
  applyRequest,
  assertSettled,
  type CaseSubject,
  keysOf,
  kinds,
  put,
  remove,
  WEB,
  web,
} from './contract-requests.ts';

const both = { ...web, drainSeconds: 30 };
const one = { ...both, realServers: [aRealServer()] };

/** How real servers leave a virtual server that stays. */
export function drainingCases(at: CaseSubject): void {
  describe('draining', () => {
    it('takes the weight of a real server that leaves, and neither counts it nor puts it into the hash', async () => {
      const { tableHash: alone } = await put(at.session, one);
      await put(at.session, both);
      const result = await put(at.session, one);
      assert.deepEqual(kinds(result), [`drainRealServer ${WEB}`]);
      assert.deepEqual([result.counts.realServers, result.counts.draining], [1, 1]);
      assert.equal(result.tableHash, alone);
      await assertSettled(at.session, result, one);
      const read = await keysOf(at.session);
      assert.deepEqual([read.tableHash, read.counts.draining], [alone, 1]);
    });

    it('deletes it when no connection is left on it, and counts that', async () => {
      await put(at.session, both);
      const { tableHash, totalWrites } = await put(at.session, one);
      const read = await waitFor(
        'the drained real server to be deleted',
        async (see) => {
          const now = await keysOf(at.session);
          see(now.counts);
          return now.counts.draining === 0 ? now : undefined;
        },
        { timeoutMs: 20_000, everyMs: 100 },
      );
      assert.deepEqual([read.tableHash, read.totalWrites, read.counts.realServers], [tableHash, totalWrites + 1, 1]);
      assert.deepEqual(kinds(await put(at.session, both)), [`addRealServer ${WEB}`]);
    });

    it('takes one back in place that is wanted again', async () => {
      const { tableHash } = await put(at.session, both);
      await put(at.session, one);
      const back = await put(at.session, both);
      assert.deepEqual([kinds(back), back.counts.draining], [[`undrainRealServer ${WEB}`], 0]);
      assert.equal(back.tableHash, tableHash);
      await assertSettled(at.session, back, both);
    });

    it('ends at once with no time to drain', async () => {
      await put(at.session, both);
      await put(at.session, one);
      const result = await put(at.session, { ...one, drainSeconds: 0 });
      assert.deepEqual([kinds(result), result.counts.draining], [[`deleteRealServer ${WEB}`], 0]);
    });

    it('is spared to one that is gone, before it began and while it lasts', async () => {
      const { address, port } = aRealServer({ address: '192.0.2.22' });
      const bereaved = { ...one, gone: [{ address, port }] };
      await put(at.session, both);
      const result = await put(at.session, bereaved);
      assert.deepEqual([kinds(result), result.counts.draining], [[`deleteRealServer ${WEB}`], 0]);
      await put(at.session, both);
      await put(at.session, one);
      const ended = await put(at.session, bereaved);
      assert.deepEqual([kinds(ended), ended.counts.draining], [[`deleteRealServer ${WEB}`], 0]);
      assert.match(ended.changes[0]?.sentence ?? '', /at once: it is gone$/);
      await assertSettled(at.session, ended, bereaved);
      assert.equal(ended.tableHash, (await put(at.session, one)).tableHash);
    });

    it('is told by a dry run, and not begun', async () => {
      await put(at.session, both);
      const planned = accepted(await at.session.apply(applyRequest({ virtualServers: [one], dryRun: true })));
      assert.deepEqual([kinds(planned), planned.counts.draining], [[`drainRealServer ${WEB}`], 0]);
    });

    it('ends with its virtual server', async () => {
      await put(at.session, both);
      await put(at.session, one);
      const result = await remove(at.session, web);
      assert.deepEqual(kinds(result), ['deleteAddress 203.0.113.10', `deleteVirtualServer ${WEB}`]);
      assert.equal(result.counts.draining, 0);
    });

    it('is refused longer than a day', async () => {
      const { errors } = await put(at.session, { ...web, drainSeconds: 86_401 });
      assert.deepEqual(
        errors.map((each) => `${each.class} ${each.object}`),
        [`object ${WEB}`],
      );
    });
  });
}
