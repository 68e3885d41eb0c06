import assert from 'node:assert/strict';
import { desiredVirtualServers } from '../../../operator/core/desired-virtual-servers.ts';
import type { BalancingOptions } from '../../../operator/model/balancing-options.ts';
import type { CidrRange } from '../../../operator/model/cidr-range.ts';
import type { IpAddress } from '../../../operator/model/ip-address.ts';
import { aNode } from '../../builders/a-node.ts';
import { aPool } from '../../builders/a-pool.ts';
import { aService, aServicePort, endpoints } from '../../builders/a-service.ts';

const V4 = '203.0.113.10' as IpAddress;
const V6 = '2001:db8:113::10' as IpAddress;
const RANGES = ['198.51.100.0/24' as CidrRange];

function desired(balancing: Partial<BalancingOptions>, service = aService(), addresses: readonly IpAddress[] = [V4]) {
  const nodes = [aNode({ internalIPs: ['192.0.2.21', '2001:db8:2::21'] })];
  return desiredVirtualServers({
    service,
    endpoints: endpoints({ 'node-1': 1 }),
    nodes,
    pool: aPool({ balancing }),
    addresses,
    reserved: () => new Map(),
  });
}

describe('forwarding methods in desiredVirtualServers', () => {
  const gue = { type: 'gue', port: 6080, checksum: true } as const;

  it('Tunneling sends to the port of the Service, in the tunnel of the pool', () => {
    const { virtualServers, problems } = desired({ forwardingMethod: 'Tunneling', tunnel: gue });
    assert.deepEqual(problems, []);
    const realServers = virtualServers[0]?.realServers ?? [];
    assert.deepEqual(
      realServers.map(({ port, forwardingMethod, tunnel }) => ({ port, forwardingMethod, tunnel })),
      [{ port: 80, forwardingMethod: 'Tunneling', tunnel: gue }],
    );
  });

  it('a tunnel needs no node ports', () => {
    const service = aService({ allocatesNodePorts: false, ports: [aServicePort({ nodePort: 0 })] });
    assert.deepEqual(desired({ forwardingMethod: 'Tunneling' }, service).problems, []);
  });

  it('a Service that overrides the method of the pool takes the tunnel along only with Tunneling', () => {
    const service = aService({ overrides: { forwardingMethod: 'DirectRouting' } });
    const { virtualServers } = desired({ forwardingMethod: 'Tunneling', tunnel: gue, mssClamp: 1400 }, service);
    assert.equal(virtualServers[0]?.realServers[0]?.tunnel, undefined);
    assert.equal(virtualServers[0]?.mssClamp, undefined);
    const tunnelled = aService({ overrides: { forwardingMethod: 'Tunneling' } });
    assert.deepEqual(desired({}, tunnelled).virtualServers[0]?.realServers[0]?.tunnel, {
      type: 'ipip',
      checksum: false,
    });
  });

  it('TCP segments are kept small, and nothing of UDP is', () => {
    const service = aService({ ports: [aServicePort(), aServicePort({ protocol: 'UDP' })] });
    const { virtualServers } = desired({ forwardingMethod: 'Tunneling', mssClamp: 1400 }, service);
    assert.deepEqual(
      virtualServers.map(({ protocol, mssClamp }) => [protocol, mssClamp]),
      [
        ['TCP', 1400],
        ['UDP', undefined],
      ],
    );
  });

  it('snat masquerades with Masquerading only', () => {
    assert.equal(desired({ forwardingMethod: 'Masquerading', snat: true }).virtualServers[0]?.masquerade, true);
    assert.equal(desired({ forwardingMethod: 'Masquerading' }).virtualServers[0]?.masquerade, undefined);
    const service = aService({ overrides: { forwardingMethod: 'DirectRouting' } });
    const overridden = desired({ forwardingMethod: 'Masquerading', snat: true }, service);
    assert.equal(overridden.virtualServers[0]?.masquerade, undefined);
  });
});

describe('source ranges in desiredVirtualServers', () => {
  for (const forwardingMethod of ['DirectRouting', 'Tunneling', 'Masquerading'] as const) {
    it(`are kept by the directors with ${forwardingMethod}`, () => {
      const { virtualServers } = desired({ forwardingMethod }, aService({ sourceRanges: RANGES }));
      assert.deepEqual(virtualServers[0]?.sourceRanges, RANGES);
    });
  }

  it('absent let everyone in', () => assert.equal(desired({}).virtualServers[0]?.sourceRanges, undefined));

  it('of one family close the address of the other, and say so', () => {
    const service = aService({ ipFamilies: ['IPv4', 'IPv6'], sourceRanges: RANGES });
    const { virtualServers, notes, problems } = desired({}, service, [V4, V6]);
    assert.deepEqual(problems, []);
    assert.deepEqual(
      virtualServers.map(({ sourceRanges }) => sourceRanges),
      [RANGES, RANGES],
    );
    assert.equal(notes.length, 1);
    assert.match(notes[0] ?? '', /no IPv6 range, so address 2001:db8:113::10 lets in nobody: add one, such as ::\/0/);
  });
});
