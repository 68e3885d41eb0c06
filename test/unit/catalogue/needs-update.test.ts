import assert from 'node:assert/strict';
import { desiredVirtualServers } from '../../../operator/core/desired-virtual-servers.ts';
import { parseService } from '../../../operator/kube/parse-service.ts';
import type { IpAddress } from '../../../operator/model/ip-address.ts';
import { aNode } from '../../builders/a-node.ts';
import { aPool } from '../../builders/a-pool.ts';
import { aRawService } from '../../builders/a-raw-service.ts';
import { endpoints } from '../../builders/a-service.ts';

const PORT = { name: 'http', protocol: 'TCP', port: 80, targetPort: 8080, nodePort: 30080 };

interface Fields {
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
}

/** A change of a Service, and whether anything changes on a director with direct routing, and with masquerading. */
const ROWS: readonly (readonly [what: string, change: Fields, routing: boolean, masquerading: boolean])[] = [
  ['nothing', {}, false, false],
  ['the port', { spec: { ports: [{ ...PORT, port: 81 }] } }, true, true],
  ['the protocol of a port', { spec: { ports: [{ ...PORT, protocol: 'UDP' }] } }, true, true],
  ['one port more', { spec: { ports: [PORT, { ...PORT, name: 'tls', port: 443, nodePort: 30443 }] } }, true, true],
  ['the order of ports', { spec: { ports: [PORT] } }, false, false],
  ['the name of a port', { spec: { ports: [{ ...PORT, name: 'web' }] } }, false, false],
  ['the node port', { spec: { ports: [{ ...PORT, nodePort: 30081 }] } }, false, true],
  ['the target port, a number', { spec: { ports: [{ ...PORT, targetPort: 9090 }] } }, false, false],
  ['the target port, a name', { spec: { ports: [{ ...PORT, targetPort: 'http' }] } }, false, false],
  ['appProtocol, set', { spec: { ports: [{ ...PORT, appProtocol: 'http' }] } }, false, false],
  ['externalIPs', { spec: { externalIPs: ['198.51.100.1'] } }, false, false],
  ['externalTrafficPolicy', { spec: { externalTrafficPolicy: 'Local' } }, true, true],
  ['healthCheckNodePort', { spec: { healthCheckNodePort: 32000 } }, false, false],
  ['internalTrafficPolicy', { spec: { internalTrafficPolicy: 'Local' } }, false, false],
  ['sessionAffinity', { spec: { sessionAffinity: 'ClientIP' } }, true, true],
  ['publishNotReadyAddresses', { spec: { publishNotReadyAddresses: true } }, false, false],
  ['the selector', { spec: { selector: { app: 'other' } } }, false, false],
  ['clusterIP', { spec: { clusterIP: '198.18.0.11' } }, false, false],
  ['a label', { labels: { tier: 'front' } }, false, false],
  ['an annotation of others', { annotations: { 'example.com/note': 'x' } }, false, false],
  ['the scheduler', { annotations: { 'ipvs-operator.io/scheduler': 'rr' } }, true, true],
  ['the drain timeout', { annotations: { 'ipvs-operator.io/drain-timeout': '5m' } }, true, true],
];

describe('which changes of a Service reach a director', () => {
  for (const [what, change, routing, masquerading] of ROWS) {
    it(`${what}: ${routing} with direct routing, ${masquerading} with masquerading`, () => {
      for (const [forwardingMethod, expected] of [
        ['DirectRouting', routing],
        ['Masquerading', masquerading],
      ] as const) {
        const desired = (fields: Fields) => {
          const { spec, ...metadata } = fields;
          const object = aRawService({ metadata, spec: { ports: [PORT], ...spec } });
          const service = parseService(object, { claimUnclassed: false });
          assert.ok(service);
          const { virtualServers } = desiredVirtualServers({
            service,
            endpoints: endpoints({ 'node-1': 1 }),
            nodes: [aNode(), aNode({ name: 'node-2', internalIPs: ['192.0.2.22'] })],
            pool: aPool({ balancing: { forwardingMethod } }),
            addresses: ['203.0.113.10' as IpAddress],
            reserved: () => new Map(),
          });
          return virtualServers;
        };
        const same = JSON.stringify(desired(change)) === JSON.stringify(desired({}));
        assert.equal(!same, expected, forwardingMethod);
      }
    });
  }
});
