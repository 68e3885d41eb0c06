import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';
import { loadBalancerPoolSpec } from '../../../operator/api/load-balancer-pool.ts';
import { asArray, asRecord } from '../../../operator/kube/kube-object.ts';
import { serviceKey } from '../../../operator/model/load-balanced-service.ts';
import { ANNOTATION, SERVICE_CONDITION } from '../../../operator/model/names.ts';
import { World } from '../../builders/a-world.ts';
import { StoredManifests } from '../../golden/stored-manifests.ts';

const FOLDER = new URL('../../../config/samples/', import.meta.url);
/** What every sample stands on. */
const BASE = ['directors.yaml', 'pool.yaml'];

interface Sample {
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: object;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec?: Readonly<Record<string, unknown>>;
}

const samplesIn = (file: string) =>
  parseAllDocuments(readFileSync(new URL(file, FOLDER), 'utf8')).map((document) => document.toJS() as Sample);
const files = readdirSync(FOLDER).filter((file) => !['kustomization.yaml', 'secret.yaml', ...BASE].includes(file));

describe('config/samples', () => {
  for (const file of files) {
    it(`${file}: the operator serves every Service in it`, async () => {
      const world = new World({ pools: [] });
      const manifests = new StoredManifests(world, { claimUnclassed: false });
      for (const { table } of world.hosts.values()) table.policy = { ...table.policy, ...POLICY };
      manifests.apply('Node node-1', aNode);
      const samples = [...BASE, file].flatMap(samplesIn);
      for (const { kind, metadata, spec } of samples) apply(manifests, { kind, metadata, ...(spec && { spec }) });
      world.start();
      await world.run(60_000);
      const services = samples.filter(({ kind }) => kind === 'Service');
      const states = services.map(({ metadata }) => {
        const service = world.api.services.get(serviceKey(metadata.namespace ?? 'default', metadata.name));
        const programmed = service?.conditions.find(({ type }) => type === SERVICE_CONDITION.programmed);
        return [metadata.name, (service?.ingress.length ?? 0) > 0, programmed?.reason, programmed?.status];
      });
      await world.stop();
      assert.deepEqual(
        states,
        services.map(({ metadata }) => [metadata.name, true, 'Programmed', 'True']),
      );
    });
  }

  const all = [...BASE, ...files].flatMap(samplesIn);

  it('show every field of a pool', () => {
    const used = new Set(
      all.filter(({ kind }) => kind === 'LoadBalancerPool').flatMap(({ spec }) => Object.keys(spec ?? {})),
    );
    assert.deepEqual(
      Object.keys(loadBalancerPoolSpec.shape).filter((field) => !used.has(field)),
      [],
    );
  });

  it('show every annotation that users write', () => {
    const used = new Set(all.flatMap(({ metadata }) => Object.keys(metadata.annotations ?? {})));
    const written = new Set<string>([
      ANNOTATION.allocatedFromPool,
      ANNOTATION.allocatedAddresses,
      ANNOTATION.allocatedTo,
      ANNOTATION.allocatedSharing,
      ANNOTATION.allocatedPorts,
      ANNOTATION.reallocated,
    ]);
    assert.deepEqual(
      Object.values(ANNOTATION).filter((name) => !used.has(name) && !written.has(name)),
      [],
    );
  });
});

const POLICY = {
  addresses: ['198.51.100.0/24', '203.0.113.0/24', '2001:db8::/32'],
  realServers: ['192.0.2.0/24', '198.18.200.0/24'],
  host: { sysctls: ['*'], timeouts: true },
};

const aNode = {
  labels: { 'node-role.kubernetes.io/ingress': '' },
  status: {
    addresses: [{ type: 'InternalIP', address: '192.0.2.21' }],
    conditions: [{ type: 'Ready', status: 'True' }],
  },
};

/** A Service comes with one ready pod, and its namespace admits what the sample pools ask for. */
function apply(manifests: StoredManifests, { kind, metadata, spec }: Sample): void {
  const { name, namespace = 'default', labels, annotations } = metadata;
  const id = kind === 'Service' ? `${namespace}/${name}` : name;
  const parts = { ...(labels && { labels }), ...(annotations && { annotations }) };
  if (kind === 'Service') {
    manifests.apply(`Namespace ${namespace}`, { labels: { 'kubernetes.io/metadata.name': namespace } });
    manifests.apply(`EndpointSlice ${id}`, {
      labels: { 'kubernetes.io/service-name': name },
      addressType: 'IPv4',
      ports: asArray(spec?.ports).map((port) => ({
        name: asRecord(port).name,
        protocol: asRecord(port).protocol,
        port: 8080,
      })),
      endpoints: [{ addresses: ['198.18.200.1'], nodeName: 'node-1', conditions: { ready: true, serving: true } }],
    });
  }
  manifests.apply(`${kind} ${id}`, { ...parts, spec });
}
