import assert from 'node:assert/strict';
import { ALIAS_GROUPS } from '../../../operator/kube/alias-annotations.ts';
import { parseService } from '../../../operator/kube/parse-service.ts';
import { aRawService } from '../../builders/a-raw-service.ts';

const IP = '203.0.113.10';
const OURS = 'ipvs-operator.io';

/** What a Service with these annotations asks for, when all aliases are understood. */
function requestOf(
  annotations: Record<string, string>,
  aliases: readonly (typeof ALIAS_GROUPS)[number][] = ALIAS_GROUPS,
) {
  const service = parseService(aRawService({ metadata: { annotations } }), { claimUnclassed: false, aliases });
  assert.ok(service);
  return service;
}

describe('Annotations of other implementations', () => {
  const rows: readonly [alias: string, value: string, request: object][] = [
    ['metallb.io/loadBalancerIPs', IP, { addresses: [IP] }],
    ['metallb.universe.tf/loadBalancerIPs', IP, { addresses: [IP] }],
    ['metallb.io/address-pool', 'public', { addresses: [], pool: 'public' }],
    ['metallb.universe.tf/address-pool', 'public', { addresses: [], pool: 'public' }],
    ['metallb.io/allow-shared-ip', 'k', { addresses: [], sharingKey: 'k' }],
    ['metallb.universe.tf/allow-shared-ip', 'k', { addresses: [], sharingKey: 'k' }],
    ['lbipam.cilium.io/ips', IP, { addresses: [IP] }],
    ['io.cilium/lb-ipam-ips', IP, { addresses: [IP] }],
    ['lbipam.cilium.io/sharing-key', 'k', { addresses: [], sharingKey: 'k' }],
    ['io.cilium/lb-ipam-sharing-key', 'k', { addresses: [], sharingKey: 'k' }],
    ['kube-vip.io/loadbalancerIPs', IP, { addresses: [IP] }],
  ];
  for (const [alias, value, request] of rows)
    it(`${alias} means the same as ours`, () => {
      const service = requestOf({ [alias]: value });
      assert.deepEqual(service.request, request);
      assert.deepEqual(service.problems, []);
    });

  it('mean nothing unless they are switched on', () => {
    assert.deepEqual(requestOf({ 'metallb.io/loadBalancerIPs': IP }, []).request, { addresses: [] });
    assert.deepEqual(requestOf({ 'metallb.io/loadBalancerIPs': IP }, ['cilium']).request, { addresses: [] });
  });

  it('may repeat what ours says, and each other', () => {
    const service = requestOf({
      [`${OURS}/loadBalancerIPs`]: IP,
      'metallb.io/loadBalancerIPs': ` ${IP} `,
      'lbipam.cilium.io/ips': IP,
    });
    assert.deepEqual([service.request.addresses, service.problems], [[IP], []]);
  });

  it('that contradict ours are refused with both names; ours stays', () => {
    const service = requestOf({ [`${OURS}/loadBalancerIPs`]: IP, 'metallb.io/loadBalancerIPs': '203.0.113.11' });
    assert.deepEqual(service.request.addresses, [IP]);
    assert.match(
      service.problems.join(),
      /metallb\.io\/loadBalancerIPs says "203\.0\.113\.11", but ipvs-operator\.io\/loadBalancerIPs says "203\.0\.113\.10"/,
    );
  });

  it('that contradict each other, or spec.loadBalancerIP, are refused', () => {
    const pair = requestOf({ 'kube-vip.io/loadbalancerIPs': IP, 'lbipam.cilium.io/ips': '203.0.113.11' });
    assert.match(pair.problems.join(), /kube-vip\.io\/loadbalancerIPs says .* but lbipam\.cilium\.io\/ips says/);
    const raw = aRawService({
      metadata: { annotations: { 'metallb.io/loadBalancerIPs': IP } },
      spec: { loadBalancerIP: '203.0.113.11' },
    });
    const service = parseService(raw, { claimUnclassed: false, aliases: ALIAS_GROUPS });
    assert.match(service?.problems.join() ?? '', /spec\.loadBalancerIP is 203\.0\.113\.11/);
  });
});
