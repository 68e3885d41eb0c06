import assert from 'node:assert/strict';
import type { AddressBook } from '../../../operator/core/address-book.ts';
import { type LoadBalancedService, serviceKey } from '../../../operator/model/load-balanced-service.ts';
import type { Protocol } from '../../../operator/model/virtual-server.ts';
import { aPool } from '../../builders/a-pool.ts';
import { aService, aServicePort } from '../../builders/a-service.ts';
import { aBook, assigned, give, refused } from '../../builders/an-address-book.ts';

const V4 = '203.0.113.10';
const OPEN = aPool({ serviceAllocation: { sharingAcrossNamespaces: true } });

/** Service that shares under key `k` with these ports, spelled `TCP/80`. */
function sharer(name: string, ports: string, more: Parameters<typeof aService>[0] = {}): LoadBalancedService {
  const list = ports.split(' ').map((text) => {
    const [protocol, port] = text.split('/') as [Protocol, string];
    return aServicePort({ name: text.toLowerCase(), protocol, port: Number(port) });
  });
  return aService({ name, ports: list, ...more, request: { sharingKey: 'k', ...more.request } });
}

/** A second Service beside the first that has 203.0.113.10. */
const rows: readonly [what: string, first: LoadBalancedService, second: LoadBalancedService, outcome: string][] = [
  ['another port', sharer('a', 'TCP/80'), sharer('b', 'TCP/443'), V4],
  ['another protocol', sharer('a', 'TCP/53'), sharer('b', 'UDP/53'), V4],
  ['a third protocol', sharer('a', 'TCP/53 UDP/53'), sharer('b', 'SCTP/53'), V4],
  ['the same port', sharer('a', 'TCP/80'), sharer('b', 'TCP/80'), 'PortInUse'],
  ['one of several ports', sharer('a', 'TCP/80 TCP/81'), sharer('b', 'TCP/81 TCP/82'), 'PortInUse'],
  ['another key', sharer('a', 'TCP/80'), sharer('b', 'TCP/81', { request: { sharingKey: 'l' } }), 'AddressInUse'],
  ['no key', sharer('a', 'TCP/80'), aService({ name: 'b', ports: [aServicePort({ port: 81 })] }), 'AddressInUse'],
  ['no key at the first', aService({ name: 'a' }), sharer('b', 'TCP/81'), 'AddressInUse'],
  [
    'other labels and traffic policy',
    sharer('a', 'TCP/80'),
    sharer('b', 'TCP/81', { externalTrafficPolicy: 'Local', labels: { app: 'x' } }),
    V4,
  ],
  ['another namespace', sharer('a', 'TCP/80'), sharer('b', 'TCP/81', { namespace: 'other' }), 'AddressInUse'],
];

describe('Sharing an address', () => {
  for (const [what, first, second, outcome] of rows)
    it(`with ${what}: ${outcome}`, () => {
      const book = aBook();
      assert.deepEqual(assigned(give(book, first)), [V4]);
      const wish = {
        ...second,
        request: { ...second.request, addresses: first.request.addresses.concat(V4 as never) },
      };
      const decision = give(book, wish);
      assert.equal(decision.kind === 'refused' ? decision.reason : decision.addresses.join(), outcome);
    });

  it('needs no request for the address: the key is enough, and another address is given when a port is taken', () => {
    const book = aBook();
    for (const [name, ports, address] of [
      ['a', 'TCP/80', V4],
      ['b', 'TCP/81', V4],
      ['c', 'TCP/80', '203.0.113.11'],
      ['d', 'TCP/82', V4],
    ] as const)
      assert.deepEqual(assigned(give(book, sharer(name, ports))), [address], name);
    assert.equal(book.usage('web').assignedIPv4, 2, 'a shared address counts once');
  });

  it('happens across namespaces only when the pool permits', () => {
    const book = aBook(OPEN);
    give(book, sharer('a', 'TCP/80'));
    assert.deepEqual(assigned(give(book, sharer('b', 'TCP/81', { namespace: 'other' }))), [V4]);
    const closed = aBook();
    give(closed, sharer('a', 'TCP/80'));
    assert.deepEqual(assigned(give(closed, sharer('b', 'TCP/81', { namespace: 'other' }))), ['203.0.113.11']);
  });

  it('goes on when the pool permits it no more', () => {
    const book = aBook(OPEN);
    give(book, sharer('a', 'TCP/80'));
    const other = sharer('b', 'TCP/81', { namespace: 'other' });
    give(book, other);
    book.setPools([aPool()]);
    assert.deepEqual(give(book, other), { kind: 'assigned', addresses: [V4], pool: 'web' });
  });

  const wish = { addresses: [V4] };
  it('tells who has the port only in the same namespace', () => {
    const book = aBook(OPEN);
    give(book, sharer('holder', 'TCP/80'));
    refused(
      give(book, sharer('b', 'TCP/80', { request: wish })),
      'PortInUse',
      /port TCP\/80 belongs to Service default\/holder/,
    );
    const foreign = give(book, sharer('b', 'TCP/80', { namespace: 'other', request: wish }));
    refused(foreign, 'PortInUse', /port TCP\/80 belongs to a Service of another namespace/);
    assert.doesNotMatch(JSON.stringify(foreign), /holder/);
    const closed = aBook();
    give(closed, sharer('holder', 'TCP/80'));
    const barred = give(closed, sharer('b', 'TCP/81', { namespace: 'other', request: wish }));
    refused(
      barred,
      'AddressInUse',
      /in use by a Service of another namespace, and LoadBalancerPool web does not permit/,
    );
  });

  it('counts a port that is given up as taken until every lane has been told', () => {
    const book = aBook();
    give(book, sharer('a', 'TCP/80'));
    give(book, sharer('b', 'TCP/82'));
    give(book, sharer('a', 'TCP/81'));
    refused(give(book, sharer('c', 'TCP/80', { request: wish })), 'PortInUse', /default\/a/);
    book.releasePorts(serviceKey('default', 'a'));
    assert.deepEqual(book.wakeable(), [serviceKey('default', 'c')]);
    assert.deepEqual(assigned(give(book, sharer('c', 'TCP/80', { request: wish }))), [V4]);
  });

  describe('when one of them changes', () => {
    let book: AddressBook;
    beforeEach(() => {
      book = aBook();
      give(book, sharer('a', 'TCP/80'));
      give(book, sharer('b', 'TCP/81'));
    });

    it('gives it a free port', () => {
      const changed = sharer('b', 'TCP/81 TCP/82');
      assert.deepEqual(give(book, changed), { kind: 'assigned', addresses: [V4], pool: 'web' });
      assert.equal(book.granted(changed), changed);
    });

    it('keeps the address and the other ports when one is taken, and says whose it is', () => {
      const changed = sharer('b', 'TCP/80 TCP/82');
      const decision = give(book, changed);
      assert.deepEqual(assigned(decision), [V4]);
      assert.ok(decision.kind === 'assigned' && decision.unmet?.reason === 'PortInUse');
      assert.match(decision.unmet.message, /Port TCP\/80 of 203\.0\.113\.10 belongs to Service default\/a/);
      assert.deepEqual(
        book.granted(changed).ports.map(({ port }) => port),
        [82],
      );
      assert.deepEqual(book.recordOf(changed.key)?.sharing, { key: 'k', ports: ['TCP/82'] });
    });

    it('gives it the port as soon as the other one leaves', () => {
      const changed = sharer('b', 'TCP/80');
      give(book, changed);
      book.release(serviceKey('default', 'a'), 0);
      assert.deepEqual(book.wakeable(), [changed.key]);
      assert.deepEqual(give(book, changed), { kind: 'assigned', addresses: [V4], pool: 'web' });
    });

    for (const sharingKey of ['other', undefined])
      it(`keeps address and key when its key becomes ${sharingKey}, and says so`, () => {
        const { request, ...rest } = sharer('b', 'TCP/81');
        const { sharingKey: _, ...open } = request;
        const changed = { ...rest, request: { ...open, ...(sharingKey !== undefined && { sharingKey }) } };
        const decision = give(book, changed);
        assert.deepEqual(assigned(decision), [V4]);
        assert.ok(decision.kind === 'assigned' && decision.unmet?.reason === 'SharingConflict');
        assert.equal(book.recordOf(changed.key)?.sharing?.key, 'k');
        book.release(serviceKey('default', 'a'), 0);
        assert.deepEqual(book.wakeable(), [changed.key]);
        assert.deepEqual(give(book, changed), { kind: 'assigned', addresses: [V4], pool: 'web' });
        assert.equal(book.recordOf(changed.key)?.sharing?.key, sharingKey);
      });

    it('frees the address when the last one leaves', () => {
      book.release(serviceKey('default', 'a'), 0);
      assert.equal(book.usage('web').availableIPv4, 3n);
      book.release(serviceKey('default', 'b'), 0);
      assert.equal(book.usage('web').availableIPv4, 4n);
      assert.equal(book.usage('web').assignedIPv4, 0);
      assert.deepEqual(assigned(give(book, aService({ name: 'c' }))), [V4]);
    });
  });

  it('goes on under its key for those who stay while another is leaving, who shares under another one or none by now', () => {
    const book = aBook();
    give(book, sharer('a', 'TCP/80'));
    give(book, sharer('b', 'TCP/81'));
    give(book, aService({ name: 'a', ports: sharer('a', 'TCP/80').ports, request: { addresses: ['203.0.113.12'] } }));
    const b = sharer('b', 'TCP/80 TCP/81');
    const decision = give(book, b);
    assert.ok(decision.kind === 'assigned' && decision.unmet?.reason === 'PortInUse');
    assert.deepEqual(book.recordOf(b.key)?.sharing, { key: 'k', ports: ['TCP/81'] });
    assert.deepEqual(
      book.granted(b).ports.map(({ port }) => port),
      [81],
    );
  });

  it('lets who is alone change the key', () => {
    const book = aBook();
    give(book, sharer('a', 'TCP/80'));
    const changed = sharer('a', 'TCP/80', { request: { sharingKey: 'l' } });
    assert.deepEqual(give(book, changed), { kind: 'assigned', addresses: [V4], pool: 'web' });
    assert.deepEqual(assigned(give(book, sharer('b', 'TCP/81', { request: { sharingKey: 'l' } }))), [V4]);
  });

  it('is adopted as recorded, whoever is older and whatever the Services say now', () => {
    const book = aBook();
    give(book, sharer('a', 'TCP/80'));
    give(book, sharer('b', 'TCP/443'));
    const found = (name: string, ports: string, createdAt: number) => {
      const record = book.recordOf(serviceKey('default', name));
      return { ...sharer(name, ports, { createdAt, ingress: [V4] }), ...(record && { record }) };
    };
    const a = found('a', 'TCP/443', 1);
    const b = found('b', 'TCP/443', 2);
    const next = aBook();
    const adoptions = [...next.adoptAll([b, a]).values()].map(({ kind }) => kind);
    assert.deepEqual(adoptions, ['adopted', 'adopted']);
    const decision = give(next, a);
    assert.ok(decision.kind === 'assigned' && decision.unmet?.reason === 'PortInUse', 'the port stays with b');
    assert.deepEqual(give(next, b), { kind: 'assigned', addresses: [V4], pool: 'web' });
  });

  it('is not adopted from a forged record across namespaces', () => {
    const book = aBook();
    const holder = sharer('a', 'TCP/80', { ingress: [V4] });
    const record = { pool: 'web', addresses: [V4 as never], sharing: { key: 'k', ports: ['TCP/80'] } };
    const thief = {
      ...sharer('t', 'TCP/81', { namespace: 'evil' }),
      record: { ...record, sharing: { key: 'k', ports: ['TCP/81'] } },
    };
    const results = book.adoptAll([thief, { ...holder, record }]);
    assert.equal(results.get(thief.key)?.kind, 'refused');
    assert.deepEqual(book.users(V4 as never), [holder.key]);
  });
});
