import assert from 'node:assert/strict';
import { parseLoadBalancerPool } from '../../../operator/kube/parse-load-balancer-pool.ts';

const parse = (spec: object) =>
  parseLoadBalancerPool({
    metadata: { name: 'web', uid: 'uid-of-pool-web', resourceVersion: '7' },
    spec: { addresses: ['203.0.113.10'], directors: { selector: {} }, ...spec },
  });

function options(spec: object) {
  const parsed = parse(spec);
  assert.ok(parsed.ok, parsed.ok ? '' : parsed.problems.join(' '));
  return parsed.value.balancing;
}

describe('the balancing part of a LoadBalancerPool', () => {
  it('has plain ipip where no tunnel is described', () => {
    assert.deepEqual(options({ forwardingMethod: 'Tunneling' }).tunnel, { type: 'ipip', checksum: false });
  });

  it('reads a tunnel', () => {
    const tunnel = { type: 'gue', port: 6080, checksum: true, mssClamp: 1400 };
    const read = options({ forwardingMethod: 'Tunneling', tunnel });
    assert.deepEqual(read.tunnel, { type: 'gue', port: 6080, checksum: true });
    assert.equal(read.mssClamp, 1400);
    const offloaded = { type: 'gue', port: 6080, checksum: false, remoteChecksum: true };
    assert.deepEqual(options({ forwardingMethod: 'Tunneling', tunnel: offloaded }).tunnel, offloaded);
  });

  it('reads snat', () => assert.equal(options({ forwardingMethod: 'Masquerading', snat: true }).snat, true));

  it('reads timeouts', () => {
    const { timeouts } = options({ timeouts: { tcp: '1h', udp: '30s' } });
    assert.deepEqual(timeouts, { tcpSeconds: 3_600, tcpFinSeconds: 120, udpSeconds: 30 });
    assert.equal(options({}).timeouts, undefined);
  });

  const refused: readonly [what: string, spec: object, problem: RegExp][] = [
    ['a tunnel without Tunneling', { tunnel: {} }, /^spec\.tunnel: belongs to forwardingMethod Tunneling/],
    ['gue without a port', { forwardingMethod: 'Tunneling', tunnel: { type: 'gue' } }, /^spec\.tunnel\.port: type gue/],
    ['a port of gre', { forwardingMethod: 'Tunneling', tunnel: { type: 'gre', port: 1 } }, /no other type has one/],
    [
      'a checksum of ipip',
      { forwardingMethod: 'Tunneling', tunnel: { checksum: true } },
      /^spec\.tunnel\.checksum: type ipip has none/,
    ],
    [
      'a remote checksum of gre',
      { forwardingMethod: 'Tunneling', tunnel: { type: 'gre', remoteChecksum: true } },
      /^spec\.tunnel\.remoteChecksum: only type gue has it/,
    ],
    [
      'both checksums',
      {
        forwardingMethod: 'Tunneling',
        tunnel: { type: 'gue', port: 6080, checksum: true, remoteChecksum: true },
      },
      /^spec\.tunnel\.remoteChecksum: it makes the checksum of the tunnel header as well; remove checksum/,
    ],
    ['snat without Masquerading', { snat: true }, /^spec\.snat: does not work with DirectRouting/],
    [
      'a subset of nodes for pods',
      { backends: 'Pods', forwardingMethod: 'Tunneling', nodeSubset: 3 },
      /^spec\.nodeSubset: has no meaning/,
    ],
    ['a timeout of nothing', { timeouts: { udp: '0s' } }, /^spec\.timeouts\.udp: '0s' is no duration from 1s/],
    ['a timeout of months', { timeouts: { tcp: '9000h' } }, /^spec\.timeouts\.tcp: '9000h' is no duration/],
    ['pods by direct routing', { backends: 'Pods' }, /^spec\.backends: Pods cannot be reached by DirectRouting/],
    [
      'weights of pods',
      { backends: 'Pods', forwardingMethod: 'Masquerading', weights: 'ReadyPods' },
      /^spec\.weights: ReadyPods has no meaning/,
    ],
    [
      'pods of some nodes',
      { backends: 'Pods', forwardingMethod: 'Tunneling', nodeSelector: {} },
      /^spec\.nodeSelector: has no meaning/,
    ],
    [
      'ipMode Proxy with tunnels',
      { forwardingMethod: 'Tunneling', ipMode: 'Proxy' },
      /^spec\.ipMode: Proxy does not work with Tunneling/,
    ],
  ];
  for (const [what, spec, problem] of refused) {
    it(`refuses ${what}`, () => {
      const parsed = parse(spec);
      assert.ok(!parsed.ok);
      assert.equal(parsed.problems.length, 1);
      assert.match(parsed.problems[0] ?? '', problem);
    });
  }
});
