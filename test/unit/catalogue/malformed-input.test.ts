import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfig } from '../../../operator/config.ts';
import { desiredVirtualServers } from '../../../operator/core/desired-virtual-servers.ts';
import { parseDirector } from '../../../operator/kube/parse-director.ts';
import { parseLoadBalancerPool } from '../../../operator/kube/parse-load-balancer-pool.ts';
import { parseNode } from '../../../operator/kube/parse-node.ts';
import { parseService } from '../../../operator/kube/parse-service.ts';
import { parseSshSecret } from '../../../operator/kube/parse-ssh-secret.ts';
import type { IpAddress } from '../../../operator/model/ip-address.ts';
import { ANNOTATION, SOURCE_RANGES_ANNOTATION } from '../../../operator/model/names.ts';
import { aPool } from '../../builders/a-pool.ts';
import { aRawService } from '../../builders/a-raw-service.ts';
import { aService, endpoints } from '../../builders/a-service.ts';

const METADATA = { name: 'thing', uid: 'u', resourceVersion: '1' };
const HOST_KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f';

/** What is malformed, what the operator says about it, the field in the sentence, and the remedy in it. */
type Row = readonly [what: string, said: () => string, field: string, remedy: RegExp];

const annotated = (name: string, value: string) => () =>
  serviceProblems({ metadata: { annotations: { [name]: value } } });
const specified = (spec: Readonly<Record<string, unknown>>) => () => serviceProblems({ spec });
const pooled = (spec: Readonly<Record<string, unknown>>) => () => {
  const good = { addresses: ['203.0.113.10'], directors: { selector: {} } };
  const parsed = parseLoadBalancerPool({ metadata: METADATA, spec: { ...good, ...spec } });
  return parsed.ok ? '' : parsed.problems.join(' ');
};
const directed = (spec: Readonly<Record<string, unknown>>) => () => {
  const good = { address: '192.0.2.11', hostKeys: [HOST_KEY], credentials: { secretName: 'key' }, tableOwner: 'prod' };
  const parsed = parseDirector({ metadata: METADATA, spec: { ...good, ...spec } });
  return parsed.ok ? '' : parsed.problems.join(' ');
};

const ROWS: readonly Row[] = [
  [
    'an address annotation',
    annotated(ANNOTATION.loadBalancerIPs, 'soon'),
    ANNOTATION.loadBalancerIPs,
    /write one, without a prefix/,
  ],
  [
    'an address annotation with two of one family',
    annotated(ANNOTATION.loadBalancerIPs, '192.0.2.1,192.0.2.2'),
    ANNOTATION.loadBalancerIPs,
    /keep one of them/,
  ],
  [
    'an address annotation of another family',
    annotated(ANNOTATION.loadBalancerIPs, '2001:db8::1'),
    'spec.ipFamilies',
    /ask for another address or add the family/,
  ],
  [
    'a pool annotation',
    annotated(ANNOTATION.addressPool, 'Gold Pool!'),
    ANNOTATION.addressPool,
    /write the name of one, or remove it/,
  ],
  [
    'a scheduler annotation',
    annotated(ANNOTATION.scheduler, 'best'),
    ANNOTATION.scheduler,
    /none of rr, .*use one of these or remove it/,
  ],
  [
    'a scheduler flag annotation',
    annotated(ANNOTATION.schedulerFlags, 'mh-magic'),
    ANNOTATION.schedulerFlags,
    /use one of these or remove it/,
  ],
  [
    'a forwarding method annotation',
    annotated(ANNOTATION.forwardingMethod, 'NAT'),
    ANNOTATION.forwardingMethod,
    /use one of these or remove it/,
  ],
  ['a weights annotation', annotated(ANNOTATION.weights, 'Fair'), ANNOTATION.weights, /use one of these or remove it/],
  [
    'a drain timeout annotation',
    annotated(ANNOTATION.drainTimeout, '1d'),
    ANNOTATION.drainTimeout,
    /write for example 30s/,
  ],
  [
    'a source range annotation',
    annotated(SOURCE_RANGES_ANNOTATION, 'home'),
    SOURCE_RANGES_ANNOTATION,
    /write for example 198\.51\.100\.0\/24/,
  ],
  [
    'spec.loadBalancerIP',
    specified({ loadBalancerIP: '203.0.113.300' }),
    'spec.loadBalancerIP',
    /write one, without a prefix/,
  ],
  [
    'spec.loadBalancerSourceRanges',
    specified({ loadBalancerSourceRanges: ['home'] }),
    'spec.loadBalancerSourceRanges',
    /write for example/,
  ],
  ['spec.clusterIP', specified({ clusterIP: 'None' }), 'spec.clusterIP', /remove spec\.clusterIP/],
  [
    'an address of a pool',
    pooled({ addresses: ['203.0.113.10', 'nonsense'] }),
    'spec.addresses',
    /write for example 192\.0\.2\.10/,
  ],
  [
    'a reversed IPv6 range, which the API server cannot see',
    pooled({ addresses: ['2001:db8::2-2001:db8::1'] }),
    'spec.addresses',
    /exchange them/,
  ],
  ['bits behind a prefix', pooled({ addresses: ['2001:db8::1/64'] }), 'spec.addresses', /write the network address/],
  [
    'a range over two families',
    pooled({ addresses: ['192.0.2.1-2001:db8::1'] }),
    'spec.addresses',
    /one range per family/,
  ],
  ['an exclusion', pooled({ excludedAddresses: ['192.0.2.0/33'] }), 'spec.excludedAddresses', /write for example/],
  [
    'exclusions that leave nothing',
    pooled({ excludedAddresses: ['203.0.113.0/24'] }),
    'spec.addresses',
    /exclude fewer/,
  ],
  [
    'a flag of another scheduler',
    pooled({ scheduler: 'rr', schedulerFlags: ['mh-port'] }),
    'spec.schedulerFlags',
    /remove the flag or change the scheduler/,
  ],
  [
    'thresholds',
    pooled({ connectionThresholds: { upper: 1, lower: 2 } }),
    'spec.connectionThresholds',
    /raise upper or lower lower/,
  ],
  ['a drain timeout', pooled({ drain: { timeout: '25h' } }), 'spec.drain.timeout', /write for example 30s/],
  ['an unknown field of a pool', pooled({ adresses: [] }), 'adresses', /.{10}/],
  [
    'an address of a director',
    directed({ address: 'lb-1.example.com' }),
    'spec.address',
    /write one without prefix or port/,
  ],
  ['a port of a director', directed({ port: 0 }), 'spec.port', />=1/],
  ['an unknown field of a director', directed({ adress: 'x' }), 'adress', /.{10}/],
  [
    'the key in a Secret',
    () => secretProblem({ 'ssh-privatekey': 'bm8ga2V5' }),
    'ssh-privatekey',
    /put the key in OpenSSH or PEM format there/,
  ],
  [
    'the missing key in a Secret',
    () => secretProblem({ key: 'bm8ga2V5' }),
    'ssh-privatekey',
    /put the key in OpenSSH or PEM format there/,
  ],
  [
    'the addresses of every node',
    () => nodeProblem([{ type: 'InternalIP', address: 'node-1.example.com' }]),
    'InternalIP',
    /Give the nodes IPv4 addresses/,
  ],
  ['an unknown field of the configuration', () => configProblem('loglevel: info'), 'loglevel', /unknown field/],
  ['a level of the configuration', () => configProblem('logLevel: loud'), 'logLevel', /"debug"/],
  [
    'a switch of the configuration',
    () => configProblem('claimUnclassed: perhaps'),
    'claimUnclassed',
    /expected boolean/,
  ],
  [
    'a number of the configuration',
    () => configProblem('limits: { serviceWorkers: 0 }'),
    'limits.serviceWorkers',
    />=1/,
  ],
  [
    'an address of the configuration',
    () => configProblem('neverAssign: [gateway]'),
    'neverAssign.0',
    /write for example/,
  ],
  ['a configuration that is no mapping', () => configProblem('- a'), 'config.yaml', /must be|expected/i],
];

describe('malformed input that only the operator can refuse', () => {
  for (const [what, said, field, remedy] of ROWS) {
    it(`${what}: named, with the remedy`, () => {
      const sentence = said();
      assert.ok(sentence.includes(field), `"${sentence}" does not name ${field}`);
      assert.match(sentence, remedy);
    });
  }

  it('there are more than 30 kinds', () => assert.ok(ROWS.length > 30));
});

function serviceProblems(overrides: Parameters<typeof aRawService>[0]): string {
  return parseService(aRawService(overrides), { claimUnclassed: false })?.problems.join(' ') ?? '';
}

function secretProblem(data: Readonly<Record<string, string>>): string {
  const lookup = parseSshSecret({ metadata: { ...METADATA, namespace: 'ops' }, data });
  return lookup.ok ? '' : lookup.message;
}

function nodeProblem(addresses: readonly object[]): string {
  const node = parseNode({ metadata: METADATA, status: { addresses } }, true);
  const { problems } = desiredVirtualServers({
    service: aService(),
    endpoints: endpoints(),
    nodes: [node],
    pool: aPool(),
    reserved: () => new Map(),
    addresses: ['203.0.113.10' as IpAddress],
  });
  return problems.join(' ');
}

function configProblem(text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'malformed-'));
  try {
    const path = join(folder, 'config.yaml');
    writeFileSync(path, text);
    const result = readConfig(['--namespace', 'ops', '--config', path]);
    return result.ok ? '' : result.message;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
