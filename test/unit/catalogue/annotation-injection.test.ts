import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ALIAS_GROUPS } from '../../../operator/kube/alias-annotations.ts';
import { parseService } from '../../../operator/kube/parse-service.ts';
import { parseIpAddress } from '../../../operator/model/ip-address.ts';
import type { LoadBalancedService } from '../../../operator/model/load-balanced-service.ts';
import { ANNOTATION, SOURCE_RANGES_ANNOTATION } from '../../../operator/model/names.ts';
import { aRawService } from '../../builders/a-raw-service.ts';

/** Every annotation that a user may write. */
const NAMES = [
  ...['metallb.io/loadBalancerIPs', 'metallb.io/address-pool', 'lbipam.cilium.io/ips', 'kube-vip.io/loadbalancerIPs'],
  ...Object.values(ANNOTATION).filter((name) => !name.includes('allocated')),
  SOURCE_RANGES_ANNOTATION,
];

/** What an attacker puts before, between and behind a good value. */
const POISON = [
  '\n',
  '\r\n',
  '\u0000',
  '\u001b[2J',
  '\u200b',
  '\u202e',
  '\u2028',
  '\ud800',
  '٣',
  '２',
  '0',
  '::ffff:',
  '%eth0',
  ',',
  '"',
  '</',
  'x'.repeat(100_000),
];
const GOOD = [
  '203.0.113.10',
  '2001:db8::1',
  'web',
  'mh',
  'mh-port',
  'Masquerading',
  'ReadyPods',
  '30s',
  '198.51.100.0/24',
];

const hostile = fc
  .array(fc.oneof(fc.constantFrom(...POISON), fc.constantFrom(...GOOD), fc.string({ unit: 'binary', maxLength: 30 })), {
    maxLength: 8,
  })
  .map((parts) => parts.join(''));

function withAnnotation(name: string, value: string): LoadBalancedService {
  const service = parseService(aRawService({ metadata: { annotations: { [name]: value } } }), {
    claimUnclassed: false,
    aliases: ALIAS_GROUPS,
  });
  assert.ok(service);
  return service;
}

describe('what an annotation may smuggle in', () => {
  for (const name of NAMES) {
    it(`${name}: no text of a user breaks a message, and nothing is believed that is not canonical`, () => {
      fc.assert(
        fc.property(hostile, (value) => {
          const { problems, request } = withAnnotation(name, value);
          const message = problems.join(' ');
          assert.doesNotMatch(message, /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
          assert.ok(message.length < 4_000, `${message.length} characters`);
          for (const address of request.addresses) assert.equal(parseIpAddress(address), address);
          if (problems.length === 0 && request.pool !== undefined) assert.match(request.pool, /^[a-z0-9][-a-z0-9.]*$/);
        }),
        { numRuns: 300 },
      );
    });
  }

  const refused: readonly (readonly [what: string, value: string])[] = [
    ['a newline inside', '203.0.113\n.10'],
    ['a second line', '203.0.113.10\nWarning Forged'],
    ['NUL', '203.0.113.10\u0000'],
    ['an escape sequence', '\u001b[31m203.0.113.10'],
    ['a zero-width space', '203.0.113\u200b.10'],
    ['Arabic digits', '٢٠٣.٠.١١٣.١٠'],
    ['full-width digits', '２０３.0.113.10'],
    ['an IPv4-mapped IPv6 address', '::ffff:203.0.113.10'],
    ['an IPv4-mapped IPv6 address in hexadecimal', '::ffff:cb00:710a'],
    ['leading zeros', '203.0.113.010'],
    ['hexadecimal', '0xcb.0.113.10'],
    ['one number', '3405803786'],
    ['three parts', '203.0.28938'],
    ['a zone', 'fe80::1%eth0'],
    ['a prefix', '203.0.113.10/32'],
    ['a port', '203.0.113.10:80'],
    ['brackets', '[2001:db8::1]'],
    ['a semicolon', '203.0.113.10;203.0.113.11'],
    ['a sign', '-203.0.113.10'],
    ['a very long value', '9'.repeat(250_000)],
    ['a very long list', 'no,'.repeat(80_000)],
  ];
  for (const [what, value] of refused) {
    it(`an address with ${what} is refused in one plain sentence that names the annotation and the remedy`, () => {
      const { problems, request } = withAnnotation(ANNOTATION.loadBalancerIPs, value);
      assert.match(
        problems[0] ?? '',
        /^ipvs-operator\.io\/loadBalancerIPs: ".*" is not an IP address; write one, without a prefix\.$/,
      );
      assert.ok(problems.join(' ').length < 2_000);
      assert.deepEqual(request.addresses, []);
    });
  }

  it('blanks and line ends around an address do not matter: YAML adds them by itself', () => {
    assert.deepEqual(withAnnotation(ANNOTATION.loadBalancerIPs, ' 203.0.113.10\n').request.addresses, ['203.0.113.10']);
  });
});
