import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { type ControlPlane, startControlPlane } from '../control-plane.ts';

const config = (folder: string) => new URL(`../../../config/${folder}`, import.meta.url).pathname;
/** Those that stand alone; the others are applied together. */
const TOGETHER = ['kustomization.yaml', 'secret.yaml', 'directors.yaml', 'pool.yaml', 'service.yaml'];
const SINGLE_SAMPLES = readdirSync(config('samples')).filter((file) => !TOGETHER.includes(file));
const OPERATOR = 'system:serviceaccount:ipvs-system:ipvs-operator';

interface Configured {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly data?: Readonly<Record<string, string>>;
  readonly spec?: {
    readonly template?: {
      readonly spec: {
        readonly containers: readonly {
          readonly args: readonly string[];
          readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
        }[];
        readonly volumes: readonly { readonly name: string; readonly configMap: { readonly name: string } }[];
      };
    };
  };
}

interface Role {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly rules: readonly {
    readonly apiGroups: readonly string[];
    readonly resources: readonly string[];
    readonly verbs: readonly string[];
  }[];
}

describe('the installation, config/default', function () {
  this.timeout(120_000);
  let plane: ControlPlane;

  before(async () => {
    plane = await startControlPlane();
    await plane.kubectl(['apply', '-k', config('default')]);
    await plane.kubectl(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=60s']);
  });
  after(() => plane?.stop());

  it('can be applied again without a change', async () => {
    const lines = (await plane.kubectl(['apply', '-k', config('default')])).trim().split('\n');
    assert.ok(lines.length >= 9, `only ${lines.length} objects`);
    for (const line of lines) assert.match(line, / unchanged$/);
  });

  it('runs in a namespace that allows restricted Pods only, and asks for no more', async () => {
    const template = await plane.kubectl(['-n', 'ipvs-system', 'get', 'deployment', 'ipvs-operator', '-o', 'json']);
    const { spec } = (JSON.parse(template) as { spec: { template: { metadata: object; spec: object } } }).spec.template;
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'probe', namespace: 'ipvs-system' }, spec };
    // Warnings of Pod Security would be errors here: the namespace enforces them.
    await plane.kubectl(['create', '--dry-run=server', '-f', '-'], JSON.stringify(pod));
  });

  it('takes a configuration file with config/configured, in a Pod as restricted', async () => {
    const documents = parseAllDocuments(await plane.kubectl(['kustomize', config('configured')])).map(
      (document) => document.toJS() as Configured,
    );
    const { spec } = documents.find(({ kind }) => kind === 'Deployment')?.spec?.template ?? {};
    const [, file] = spec?.containers[0]?.args ?? [];
    const [mount] = spec?.containers[0]?.volumeMounts ?? [];
    const [volume] = spec?.volumes ?? [];
    const map = documents.find(
      ({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === volume?.configMap.name,
    );
    assert.equal(volume?.name, mount?.name);
    assert.deepEqual(
      Object.keys(map?.data ?? {}).map((name) => `${mount?.mountPath}/${name}`),
      [file],
    );
    assert.equal(map?.metadata.namespace, 'ipvs-system');
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'probe', namespace: 'ipvs-system' }, spec };
    await plane.kubectl(['create', '--dry-run=server', '-f', '-'], JSON.stringify(pod));
  });

  it('has no wildcard in any role', async () => {
    const documents = parseAllDocuments(await plane.kubectl(['kustomize', config('default')]));
    const roles = documents
      .map((document) => document.toJS() as Role)
      .filter(({ kind }) => /^(Cluster)?Role$/.test(kind));
    assert.deepEqual(roles.map(({ kind }) => kind).sort(), ['ClusterRole', 'Role']);
    for (const { rules } of roles) {
      for (const { apiGroups, resources, verbs } of rules) {
        for (const word of [...apiGroups, ...resources, ...verbs]) assert.ok(!word.includes('*'), word);
      }
    }
  });

  const may: readonly [namespace: string, verb: string, resource: string][] = [
    ['default', 'list', 'services'],
    ['default', 'watch', 'services'],
    ['default', 'get', 'services'],
    ['default', 'patch', 'services'],
    ['default', 'patch', 'services/status'],
    ['default', 'watch', 'endpointslices.discovery.k8s.io'],
    ['default', 'list', 'nodes'],
    ['default', 'watch', 'servicecidrs.networking.k8s.io'],
    ['default', 'list', 'namespaces'],
    ['default', 'watch', 'loadbalancerpools.ipvs-operator.io'],
    ['default', 'get', 'directors.ipvs-operator.io'],
    ['default', 'patch', 'loadbalancerpools.ipvs-operator.io'], // its finalizer, and by policy nothing else of it
    ['default', 'patch', 'loadbalancerpools.ipvs-operator.io/status'],
    ['default', 'patch', 'directors.ipvs-operator.io/status'],
    ['default', 'create', 'events.events.k8s.io'],
    ['default', 'patch', 'events.events.k8s.io'],
    ['ipvs-system', 'watch', 'secrets'],
    ['ipvs-system', 'list', 'secrets'],
    ['ipvs-system', 'create', 'leases.coordination.k8s.io'],
    ['ipvs-system', 'update', 'leases.coordination.k8s.io'],
  ];
  const mayNot: readonly [namespace: string, verb: string, resource: string][] = [
    ['default', 'get', 'secrets'],
    ['default', 'list', 'secrets'],
    ['kube-system', 'get', 'secrets'],
    ['ipvs-system', 'update', 'secrets'],
    ['ipvs-system', 'delete', 'secrets'],
    ['default', 'create', 'services'],
    ['default', 'delete', 'services'],
    ['default', 'update', 'leases.coordination.k8s.io'],
    ['default', 'delete', 'loadbalancerpools.ipvs-operator.io'],
    ['default', 'patch', 'servicecidrs.networking.k8s.io'],
    ['default', 'patch', 'directors.ipvs-operator.io'],
    ['default', 'delete', 'directors.ipvs-operator.io'],
    ['default', 'patch', 'validatingadmissionpolicies.admissionregistration.k8s.io'],
    ['default', 'delete', 'validatingadmissionpolicybindings.admissionregistration.k8s.io'],
    ['default', 'patch', 'nodes'],
    ['default', 'get', 'pods'],
    ['ipvs-system', 'create', 'pods'],
    ['ipvs-system', 'create', 'serviceaccounts/token'],
  ];
  const answer = async ([namespace, verb, what]: readonly [string, string, string]): Promise<string> => {
    const [resource = '', subresource = ''] = what.split('/');
    const question = ['auth', 'can-i', verb, resource, `--subresource=${subresource}`, '-n', namespace];
    return plane.kubectl([...question, `--as=${OPERATOR}`]).then(
      (stdout) => stdout.trim(),
      // can-i says no with exit status 1.
      (error: Error & { readonly stdout?: string }) => error.stdout?.trim() ?? error.message,
    );
  };

  for (const question of may) {
    it(`lets the operator ${question[1]} ${question[2]} in ${question[0]}`, async () =>
      assert.equal(await answer(question), 'yes'));
  }
  for (const question of mayNot) {
    it(`does not let the operator ${question[1]} ${question[2]} in ${question[0]}`, async () =>
      assert.equal(await answer(question), 'no'));
  }

  it('has samples that the API server takes', async () => {
    const out = await plane.kubectl(['apply', '-k', config('samples')]);
    assert.deepEqual(out.trim().split('\n').sort(), [
      'director.ipvs-operator.io/lb-1 created',
      'director.ipvs-operator.io/lb-2 created',
      'loadbalancerpool.ipvs-operator.io/web created',
      'secret/director-ssh created',
      'service/web created',
    ]);
  });

  for (const file of SINGLE_SAMPLES) {
    it(`has a sample ${file} that the API server takes as it stands`, async () => {
      const path = join(config('samples'), file);
      const namespaces = parseAllDocuments(readFileSync(path, 'utf8')).flatMap(
        (document) => (document.toJS() as { metadata: { namespace?: string } }).metadata.namespace ?? [],
      );
      for (const name of new Set(namespaces)) await plane.kubectl(['create', 'namespace', name]);
      const strict = ['apply', '--dry-run=server', '--validate=strict', '-f', path];
      assert.match(await plane.kubectl(strict), /created \(server dry run\)/);
    });
  }
});
