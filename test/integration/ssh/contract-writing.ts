import assert from 'node:assert/strict';
import type { IpAddress } from '../../../operator/model/ip-address.ts';
import type { VirtualServer } from '../../../operator/model/virtual-server.ts';
import { aRealServer, aVirtualServer } from '../../builders/a-virtual-server.ts';
import {
  accepted,
  applyRequest,
  assertSettled,
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

/** How a table is made, changed and taken away. */
export function writingCases(at: CaseSubject): void {
  describe('making virtual servers', () => {
    it('adds one whole, then its address, and counts the writes', async () => {
      const result = await put(at.session, web);
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
        draining: 0,
        foreign: 0,
        orphans: 0,
        activeConnections: 0,
        inactiveConnections: 0,
      });
      assert.ok(result.changes.every(({ sentence }) => sentence.length > 0));
      await assertSettled(at.session, result, web);
    });

    it('is seen by a read', async () => {
      const { tableHash } = await put(at.session, web, dns);
      const read = await keysOf(at.session);
      assert.deepEqual(texts(read.keys), [WEB, DNS]);
      assert.deepEqual([read.foreign, read.orphans], [[], []]);
      assert.deepEqual(read.addresses, [web.address, dns.address]);
      assert.deepEqual([read.tableHash, read.totalWrites], [tableHash, 7]);
      assert.equal(read.counts.realServers, 3);
    });

    it('adds no address twice', async () => {
      await put(at.session, web);
      const second = aVirtualServer({ port: 443, realServers: [] });
      assert.deepEqual(kinds(await put(at.session, second)), ['addVirtualServer TCP 203.0.113.10:443']);
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
        await assertSettled(at.session, await put(at.session, virtualServer), virtualServer);
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
        await put(at.session, web);
        const result = await put(at.session, changed);
        assert.deepEqual(
          kinds(result),
          expected.map((kind) => `${kind} ${WEB}`),
        );
        await assertSettled(at.session, result, changed);
      });
    }

    it('leaves what is not listed alone', async () => {
      await put(at.session, web, dns);
      assert.deepEqual(kinds(await put(at.session, { ...dns, scheduler: 'wrr' })), [`editVirtualServer ${DNS}`]);
      assert.deepEqual(texts((await keysOf(at.session)).keys), [WEB, DNS]);
    });

    it('moves the address to another interface', async () => {
      await put(at.session, web);
      const result = accepted(await at.session.apply(applyRequest({ virtualServers: [web], interface: 'dummy0' })));
      assert.deepEqual(kinds(result), ['addAddress 203.0.113.10', 'deleteAddress 203.0.113.10']);
      assert.deepEqual((await keysOf(at.session)).addresses, [web.address]);
    });
  });

  describe('removing virtual servers', () => {
    it('takes the address down first, and leaves nothing', async () => {
      const { tableHash: empty } = await keysOf(at.session);
      await put(at.session, web);
      const result = await remove(at.session, web);
      assert.deepEqual(kinds(result), ['deleteAddress 203.0.113.10', `deleteVirtualServer ${WEB}`]);
      assert.deepEqual([result.failed, result.tableHash, result.counts.virtualServers], [[], empty, 0]);
      const read = await keysOf(at.session);
      assert.deepEqual([read.keys, read.addresses], [[], []]);
    });

    it('has nothing to do for one that is not there', async () => {
      const result = await remove(at.session, web);
      assert.deepEqual([result.changes, result.failed, result.writes], [[], [], 0]);
    });

    it('keeps the address as long as another virtual server has it', async () => {
      const second = aVirtualServer({ port: 443 });
      await put(at.session, web, { ...second, realServers: [] });
      assert.deepEqual(kinds(await remove(at.session, web)), [`deleteVirtualServer ${WEB}`]);
      assert.deepEqual(kinds(await remove(at.session, second)), [
        'deleteAddress 203.0.113.10',
        'deleteVirtualServer TCP 203.0.113.10:443',
      ]);
    });

    it('removes with scope all what is not listed', async () => {
      await put(at.session, web, dns);
      const result = accepted(await at.session.apply(applyRequest({ scope: 'all', virtualServers: [dns] })));
      assert.deepEqual(kinds(result), ['deleteAddress 203.0.113.10', `deleteVirtualServer ${WEB}`]);
      assert.deepEqual(texts((await keysOf(at.session)).keys), [DNS]);
    });

    it('keeps with scope all what is listed and refused', async () => {
      await put(at.session, web);
      const outside = { ...web, realServers: [aRealServer({ address: '198.51.100.1' })] };
      const result = accepted(await at.session.apply(applyRequest({ scope: 'all', virtualServers: [outside] })));
      assert.deepEqual([result.changes, refusalsOf(result.errors)], [[], [`policy ${WEB}`]]);
      assert.deepEqual(texts((await keysOf(at.session)).keys), [WEB]);
    });

    it('refuses scope all with absent keys, whole', async () => {
      const answer = await at.session.apply(applyRequest({ scope: 'all', absent: [web] }));
      assert.equal(answer.kind === 'refused' && answer.error.class, 'protocol');
    });
  });

  it('repairs what somebody else has removed', async () => {
    const made = await put(at.session, web, dns);
    await at.subject.flush();
    const next = await at.subject.open();
    assert.deepEqual((await keysOf(next)).keys, []);
    const result = accepted(await next.apply(applyRequest({ scope: 'all', virtualServers: [web, dns] })));
    assert.deepEqual([kinds(result), result.tableHash], [kinds(made), made.tableHash]);
    assert.equal(result.totalWrites, 2 * made.totalWrites);
  });

  it('has equal hashes for equal tables, however they came about, and others for others', async () => {
    const first = await put(at.session, web, dns);
    await remove(at.session, web, dns);
    await put(at.session, { ...dns, realServers: [] });
    const second = await put(at.session, { ...web, realServers: web.realServers.toReversed() }, dns);
    assert.equal(second.tableHash, first.tableHash);
    const third = await put(at.session, { ...dns, scheduler: 'wrr' });
    assert.notEqual(third.tableHash, first.tableHash);
  });

  it('carries a large table in one request, and takes it away in one', async () => {
    const realServers = Array.from({ length: 20 }, (_, index) => aRealServer({ address: `192.0.2.${index + 1}` }));
    const virtualServers = Array.from({ length: 500 }, (_, index) => {
      const port = 1000 + index;
      return aVirtualServer({ port, realServers: realServers.map((real) => ({ ...real, port })) });
    });
    const result = await put(at.session, ...virtualServers);
    assert.deepEqual([result.failed, result.writes, result.counts.realServers], [[], 500 * 21 + 1, 10_000]);
    const read = await keysOf(at.session);
    assert.deepEqual([read.keys.length, read.tableHash], [500, result.tableHash]);
    const emptied = accepted(await at.session.apply(applyRequest({ scope: 'all' })));
    assert.deepEqual([emptied.writes, emptied.counts.virtualServers], [501, 0]);
  });

  it('keeps addresses in order, IPv4 first', async () => {
    const addresses = ['2001:db8:1::2', '203.0.113.100', '203.0.113.20', '2001:db8:1::1'];
    await put(at.session, ...addresses.map((address) => aVirtualServer({ address, realServers: [] })));
    const inOrder = ['203.0.113.20', '203.0.113.100', '2001:db8:1::1', '2001:db8:1::2'] as IpAddress[];
    const read = await keysOf(at.session);
    assert.deepEqual([read.keys.map(({ address }) => address), read.addresses], [inOrder, inOrder]);
  });
}
