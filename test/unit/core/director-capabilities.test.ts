import assert from 'node:assert/strict';
import { incapacity } from '../../../operator/core/director-capabilities.ts';
import { aRealServer, aVirtualServer } from '../../builders/a-virtual-server.ts';

const CAPABLE = { schedulers: ['rr', 'mh'], forwardingMethods: ['DirectRouting', 'Tunneling'], tunnelTypes: ['ipip'] };
const tunnelled = (type: 'ipip' | 'gre') =>
  aVirtualServer({
    realServers: [aRealServer({ forwardingMethod: 'Tunneling', tunnel: { type, checksum: false } })],
  });

describe('incapacity', () => {
  it('is none where the director can do it', () => {
    assert.equal(incapacity(aVirtualServer(), CAPABLE), undefined);
    assert.equal(incapacity(tunnelled('ipip'), CAPABLE), undefined);
  });

  it('names the scheduler that is missing, and how to get it', () => {
    assert.match(
      incapacity(aVirtualServer({ scheduler: 'twos' }), CAPABLE) ?? '',
      /^its kernel has no scheduler twos: install the module ip_vs_twos, or choose one of mh and rr|rr and mh/,
    );
  });

  it('does not judge schedulers that the helper cannot see', () => {
    assert.equal(incapacity(aVirtualServer({ scheduler: 'twos' }), { ...CAPABLE, schedulers: [] }), undefined);
  });

  it('names the forwarding method that is missing', () => {
    const masqueraded = aVirtualServer({ realServers: [aRealServer({ forwardingMethod: 'Masquerading' })] });
    assert.match(incapacity(masqueraded, CAPABLE) ?? '', /does not know forwarding method Masquerading: update/);
  });

  it('names the tunnel type that is missing, unless the helper does not tell', () => {
    assert.match(incapacity(tunnelled('gre'), CAPABLE) ?? '', /no tunnels of type gre: use a newer kernel/);
    const { tunnelTypes: _, ...silent } = CAPABLE;
    assert.equal(incapacity(tunnelled('gre'), silent), undefined);
  });

  it('asks a helper for remote checksums only where it knows them', () => {
    const tunnel = { type: 'gue', port: 6080, checksum: false, remoteChecksum: true } as const;
    const offloaded = aVirtualServer({ realServers: [aRealServer({ forwardingMethod: 'Tunneling', tunnel })] });
    const capable = { ...CAPABLE, tunnelTypes: ['ipip', 'gue'] };
    assert.equal(incapacity(offloaded, { ...capable, features: ['gone', 'remoteChecksum'] }), undefined);
    const problem = /^its helper does not know remoteChecksum of a tunnel: update the helper, or remove/;
    for (const older of [capable, { ...capable, features: ['gone'] }]) {
      assert.match(incapacity(offloaded, older) ?? '', problem);
    }
  });
});
