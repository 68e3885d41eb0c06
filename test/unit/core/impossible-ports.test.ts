import assert from 'node:assert/strict';
import { effectiveBalancing } from '../../../operator/core/effective-balancing.ts';
import { portProblem } from '../../../operator/core/impossible-ports.ts';
import type { BalancingOptions } from '../../../operator/model/balancing-options.ts';
import { aPool } from '../../builders/a-pool.ts';
import { aService, aServicePort } from '../../builders/a-service.ts';
import { aGroup, slices } from '../../builders/pods.ts';

type Row = readonly [
  what: string,
  balancing: Partial<BalancingOptions>,
  service: Parameters<typeof aService>[0],
  port: Parameters<typeof aServicePort>[0],
  error: string | undefined,
];

const TUNNELLED_PODS = { forwardingMethod: 'Tunneling', backends: 'Pods' } as const;

const rows: readonly Row[] = [
  ['a plain port', {}, {}, {}, undefined],
  ['no node port with Masquerading', { forwardingMethod: 'Masquerading' }, {}, { nodePort: 0 }, 'NoNodePort'],
  ['no node port with DirectRouting', {}, {}, { nodePort: 0 }, undefined],
  ['no node port with Tunneling', { forwardingMethod: 'Tunneling' }, {}, { nodePort: 0 }, undefined],
  ['no node port with pods', { forwardingMethod: 'Masquerading', backends: 'Pods' }, {}, { nodePort: 0 }, undefined],
  [
    'UDP by one packet with affinity',
    { udpOnePacket: true },
    { clientIpAffinitySeconds: 60 },
    { protocol: 'UDP' },
    'PersistentOnePacket',
  ],
  ['TCP of the same Service', { udpOnePacket: true }, { clientIpAffinitySeconds: 60 }, {}, undefined],
  ['UDP by one packet without affinity', { udpOnePacket: true }, {}, { protocol: 'UDP' }, undefined],
  ['a tunnel to another port of pods', TUNNELLED_PODS, {}, { port: 80 }, 'TargetPortDiffers'],
  ['a tunnel to the same port of pods', TUNNELLED_PODS, {}, { port: 8080 }, undefined],
  ['a tunnel to pods without this port', TUNNELLED_PODS, {}, { name: 'other' }, undefined],
  [
    'SCTP through a tunnel: the kernel has no objection',
    { forwardingMethod: 'Tunneling' },
    {},
    { protocol: 'SCTP' },
    undefined,
  ],
];

describe('portProblem', () => {
  for (const [what, balancing, overrides, port, error] of rows) {
    it(`${what}: ${error ?? 'fine'}`, () => {
      const service = aService(overrides);
      const effective = effectiveBalancing(aPool({ balancing }), service);
      const problem = portProblem(service, aServicePort(port), effective, slices(aGroup(['198.18.129.2'])));
      assert.equal(problem?.error, error && `ipvs-operator.io/${error}`);
      if (problem === undefined) return;
      // core/v1 PortStatus.error: a qualified name, as API validation wants it.
      assert.match(problem.error, /^([a-z0-9.-]+\/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,314}[A-Za-z0-9])?$/);
      assert.match(problem.message, /^Port \d+\/(TCP|UDP) .*\. (Set|Make) .*\.$/);
    });
  }
});
