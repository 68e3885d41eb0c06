import assert from 'node:assert/strict';
import fc from 'fast-check';
import { compareBackends } from '../../../operator/core/backend.ts';
import { podsAtPort } from '../../../operator/core/pod-backends.ts';
import { reservedAddresses } from '../../../operator/core/reserved-addresses.ts';
import type { IpAddress, IpFamily } from '../../../operator/model/ip-address.ts';
import type { ServiceEndpoints } from '../../../operator/model/load-balanced-service.ts';
import { aDirector } from '../../builders/a-director.ts';
import { aNode } from '../../builders/a-node.ts';
import { aServicePort } from '../../builders/a-service.ts';
import { aGroup, slices } from '../../builders/pods.ts';

const NONE: ReadonlyMap<IpAddress, string> = new Map();

function pods(endpoints: ServiceEndpoints, family: IpFamily = 'IPv4', port = aServicePort()): readonly string[] {
  const { backends } = podsAtPort(endpoints, port, family, NONE);
  return backends.map(({ address, port: at, weight }) => `${address} ${at} ${weight}`);
}

describe('podsAtPort', () => {
  it('is the ready pods at their own port, sorted', () => {
    assert.deepEqual(pods(slices(aGroup(['198.18.130.2', '198.18.129.10', '198.18.129.9']))), [
      '198.18.129.9 8080 1',
      '198.18.129.10 8080 1',
      '198.18.130.2 8080 1',
    ]);
  });

  it('takes the port that each slice maps the Service port to by name', () => {
    const endpoints = slices(
      aGroup(['198.18.129.2'], { name: 'metrics', port: 9 }, { port: 8080 }),
      aGroup(['198.18.129.3'], { port: 8081 }),
      aGroup(['198.18.129.4'], { name: 'metrics', port: 9 }),
      aGroup(['198.18.129.5'], { protocol: 'UDP' }),
    );
    assert.deepEqual(pods(endpoints), ['198.18.129.2 8080 1', '198.18.129.3 8081 1']);
    assert.deepEqual(pods(endpoints, 'IPv4', aServicePort({ name: 'metrics' })), [
      '198.18.129.2 9 1',
      '198.18.129.4 9 1',
    ]);
  });

  it('leaves out those that end while others are ready, and takes them when none is', () => {
    assert.deepEqual(pods(slices(aGroup(['198.18.129.2!', '198.18.129.3']))), ['198.18.129.3 8080 1']);
    assert.deepEqual(pods(slices(aGroup(['198.18.129.2!']), aGroup(['198.18.129.3!']))), [
      '198.18.129.2 8080 1',
      '198.18.129.3 8080 1',
    ]);
  });

  it('keeps the families apart', () => {
    const both = slices(aGroup(['198.18.129.2']), aGroup(['2001:db8:5:1::2']));
    assert.deepEqual(pods(both), ['198.18.129.2 8080 1']);
    assert.deepEqual(pods(both, 'IPv6'), ['2001:db8:5:1::2 8080 1']);
  });

  it('counts a pod once that two slices name, ready if one of them says so', () => {
    assert.deepEqual(pods(slices(aGroup(['198.18.129.2!']), aGroup(['198.18.129.2']), aGroup(['198.18.129.2!']))), [
      '198.18.129.2 8080 1',
    ]);
  });

  it('is empty without endpoints', () => assert.deepEqual(pods(slices()), []));

  const forged: readonly [what: string, address: string, says: RegExp][] = [
    ['a loopback address', '127.0.0.1', /127\.0\.0\.1, a loopback address/],
    ['a link-local address', '169.254.169.254', /169\.254\.169\.254, a link-local address/],
    ['a multicast address', '224.0.0.82', /a multicast/],
    ['an unspecified address', '0.0.0.0', /an unspecified address/],
    ['an IPv6 loopback address', '::1', /::1, a loopback address/],
    ['an IPv6 link-local address', 'fe80::1', /fe80::1, a link-local address/],
    ['the address of a node', '192.0.2.21', /192\.0\.2\.21, the address of node node-1/],
    ['the address of a director', '192.0.2.11', /192\.0\.2\.11, the address of director lb-1/],
    ['the address of the API server', '192.0.2.10', /192\.0\.2\.10, the address of the API server/],
  ];
  const reserved = reservedAddresses([aNode()], [aDirector()], slices(aGroup(['192.0.2.10'])));
  for (const [what, address, says] of forged) {
    it(`never sends to ${what}, and says so`, () => {
      const family = address.includes(':') ? 'IPv6' : 'IPv4';
      const real = family === 'IPv4' ? '198.18.129.2' : '2001:db8:5:1::2';
      const { backends, notes } = podsAtPort(slices(aGroup([address, real])), aServicePort(), family, reserved);
      assert.deepEqual(
        backends.map((backend) => backend.address),
        [real],
      );
      assert.equal(notes.length, 1);
      assert.match(notes[0] ?? '', says);
    });
  }

  it('does not depend on the order of slices and endpoints', () => {
    const address = fc.integer({ min: 1, max: 9 }).map((last) => `198.18.129.${last}`);
    const end = fc.constantFrom('', '!');
    const group = fc.array(fc.tuple(address, end).map(([ip, mark]) => ip + mark)).map((all) => aGroup(all));
    fc.assert(
      fc.property(fc.array(group, { maxLength: 4 }), (groups) => {
        const turned = groups
          .map(({ endpoints, ...rest }) => ({ ...rest, endpoints: endpoints.toReversed() }))
          .toReversed();
        assert.deepEqual(pods(slices(...groups)), pods(slices(...turned)));
        const { backends } = podsAtPort(slices(...groups), aServicePort(), 'IPv4', NONE);
        assert.deepEqual(backends, backends.toSorted(compareBackends));
      }),
    );
  });
});
