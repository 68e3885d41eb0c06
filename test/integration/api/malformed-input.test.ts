import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { API_GROUP, API_VERSION } from '../../../operator/model/names.ts';
import { type ControlPlane, startControlPlane } from '../control-plane.ts';

const CRDS = new URL('../../../crds/', import.meta.url);
const HOST_KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f';

type Json = Readonly<Record<string, unknown>>;

interface Schema {
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: Schema;
}

/** A field of ours as `spec.a.b`, and a value that it cannot have. */
interface WrongValue {
  readonly path: string;
  readonly value: unknown;
}

const SPECS = {
  LoadBalancerPool: { file: 'loadbalancerpools', good: { addresses: ['203.0.113.10'], directors: { selector: {} } } },
  Director: {
    file: 'directors',
    good: {
      address: '192.0.2.11',
      hostKeys: [HOST_KEY],
      credentials: { secretName: 'director-ssh' },
      tableOwner: 'prod',
    },
  },
} as const;

/** What Kubernetes itself refuses of the objects that we read: change of a valid object, field in the message, remedy in the message. */
const OF_KUBERNETES: readonly (readonly [what: string, object: Json, field: RegExp, remedy: RegExp])[] = [
  ['a port 0', service({ ports: [{ port: 0 }] }), /spec\.ports\[0\]\.port/, /must be between 1 and 65535/],
  ['a port 65536', service({ ports: [{ port: 65_536 }] }), /spec\.ports\[0\]\.port/, /must be between 1 and 65535/],
  ['a port that is text', service({ ports: [{ port: 'http' }] }), /port/i, /int32/],
  [
    'an unknown protocol',
    service({ ports: [{ port: 80, protocol: 'ICMP' }] }),
    /spec\.ports\[0\]\.protocol/,
    /supported values: .*"TCP"/,
  ],
  [
    'the same port twice',
    service({
      ports: [
        { name: 'a', port: 80 },
        { name: 'b', port: 80 },
      ],
    }),
    /spec\.ports\[1\]/,
    /Duplicate value/,
  ],
  [
    'two ports without names',
    service({ ports: [{ port: 80 }, { port: 81 }] }),
    /spec\.ports\[0\]\.name/,
    /Required value/,
  ],
  ['no ports', service({ ports: [] }), /spec\.ports/, /Required value/],
  ['an unknown family', service({ ipFamilies: ['IPv5'] }), /spec\.ipFamilies\[0\]/, /supported values: "IPv4", "IPv6"/],
  ['an unknown family policy', service({ ipFamilyPolicy: 'Dual' }), /spec\.ipFamilyPolicy/, /supported values/],
  [
    'an unknown affinity',
    service({ sessionAffinity: 'Sticky' }),
    /spec\.sessionAffinity/,
    /supported values: "ClientIP", "None"/,
  ],
  [
    'an affinity of more than a day',
    service({ sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 86_401 } } }),
    /spec\.sessionAffinityConfig\.clientIP\.timeoutSeconds/,
    /less than 86400/,
  ],
  [
    'an unknown traffic policy',
    service({ externalTrafficPolicy: 'Near' }),
    /spec\.externalTrafficPolicy/,
    /supported values: "Cluster", "Local"/,
  ],
  [
    'a class that is no name',
    service({ loadBalancerClass: 'our class' }),
    /spec\.loadBalancerClass/,
    /must consist of alphanumeric/,
  ],
  [
    'a source range that is none',
    service({ loadBalancerSourceRanges: ['everybody'] }),
    /spec\.LoadBalancerSourceRanges\[0\]/,
    /valid CIDR/,
  ],
  [
    'an external IP of the loopback',
    service({ externalIPs: ['127.0.0.1'] }),
    /spec\.externalIPs\[0\]/,
    /may not be in the loopback range/,
  ],
  [
    'an endpoint on the loopback',
    slice(['127.0.0.1']),
    /endpoints\[0\]\.addresses\[0\]/,
    /may not be in the loopback range/,
  ],
  [
    'an endpoint that is a metadata server',
    slice(['169.254.169.254']),
    /endpoints\[0\]\.addresses\[0\]/,
    /may not be in the link-local range/,
  ],
  [
    'an endpoint that is no address',
    slice(['pod-1']),
    /endpoints\[0\]\.addresses\[0\]/,
    /must be a valid IP(v4)? address/,
  ],
  ['an endpoint without an address', slice([]), /endpoints\[0\]\.addresses/, /must contain at least 1 address/],
  ['a Secret without the key that its type promises', secret({}), /data\[ssh-privatekey\]/, /Required value/],
  ['a Secret that is not base64', secret({ 'ssh-privatekey': '%%%' }), /data|Secret/, /base64/],
  ['pod ranges of a node that are none', node({ podCIDRs: ['everything'] }), /spec\.podCIDRs?/, /CIDR/],
  [
    'a taint of a node without a known effect',
    node({ taints: [{ key: 'a', effect: 'Never' }] }),
    /taints\[0\]\.effect/,
    /supported values|must/,
  ],
];

describe('malformed input on a real API server', function () {
  this.timeout(180_000);
  let plane: ControlPlane;

  before(async () => {
    plane = await startControlPlane();
    await plane.kubectl(['apply', '-k', new URL('../../../config/crds', import.meta.url).pathname]);
    await plane.kubectl(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=60s']);
  });
  after(() => plane?.stop());

  const refusal = (object: Json): Promise<string> =>
    plane.kubectl(['create', '-f', '-', '--dry-run=server'], JSON.stringify(object)).then(
      () => assert.fail('the API server accepted it'),
      (error: Error & { readonly stderr?: string }) => error.stderr ?? error.message,
    );

  for (const [kind, { file, good }] of Object.entries(SPECS)) {
    for (const { path, value } of wrongValues(specSchema(file), 'spec')) {
      it(`${kind}: ${path} with ${JSON.stringify(value)} is refused by name, with what it must be`, async () => {
        const object = { apiVersion: `${API_GROUP}/${API_VERSION}`, kind, metadata: { name: 'bad' }, spec: good };
        const message = await refusal(changed(object, path.split('.'), value));
        assert.ok(message.includes(path), message);
        assert.match(message, /must be of type|supported values/);
      });
    }
  }

  for (const [what, object, field, remedy] of OF_KUBERNETES) {
    it(`${String(object.kind)} with ${what} is refused by name, with what it must be`, async () => {
      const message = await refusal(object);
      assert.match(message, field);
      assert.match(message, remedy);
    });
  }

  it('a good object of each kind is taken', async () => {
    for (const [kind, { good }] of Object.entries(SPECS)) {
      const object = { apiVersion: `${API_GROUP}/${API_VERSION}`, kind, metadata: { name: 'good' }, spec: good };
      await plane.kubectl(['create', '-f', '-', '--dry-run=server'], JSON.stringify(object));
    }
    for (const object of [
      service({}),
      slice(['198.18.129.2']),
      secret({ 'ssh-privatekey': 'a2V5' }),
      node({ podCIDRs: ['198.18.129.0/24'] }),
    ]) {
      await plane.kubectl(['create', '-f', '-', '--dry-run=server'], JSON.stringify(object));
    }
  });
});

function specSchema(file: string): Schema {
  const crd = parse(readFileSync(new URL(`${API_GROUP}_${file}.yaml`, CRDS), 'utf8'));
  return crd.spec.versions[0].schema.openAPIV3Schema.properties.spec;
}

/** A value of another type for every field there is, and one outside the list where there is a list. */
function wrongValues(schema: Schema, path: string): readonly WrongValue[] {
  const own = path === 'spec' ? [] : [{ path, value: schema.type === 'string' ? 7 : 'nonsense' }];
  const listed = schema.enum === undefined ? [] : [{ path, value: 'nonsense' }];
  const inside = Object.entries(schema.properties ?? {}).flatMap(([name, field]) =>
    wrongValues(field, `${path}.${name}`),
  );
  return [...own, ...listed, ...inside];
}

function changed(object: Json, [field = '', ...rest]: readonly string[], value: unknown): Json {
  if (rest.length === 0) return { ...object, [field]: value };
  return { ...object, [field]: changed((object[field] ?? {}) as Json, rest, value) };
}

function service(spec: Json): Json {
  const metadata = { name: 'bad', namespace: 'default' };
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata,
    spec: { type: 'LoadBalancer', ports: [{ port: 80 }], ...spec },
  };
}

function slice(addresses: readonly string[]): Json {
  const metadata = { name: 'bad', namespace: 'default', labels: { 'kubernetes.io/service-name': 'web' } };
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata,
    addressType: 'IPv4',
    endpoints: [{ addresses }],
  };
}

function secret(data: Json): Json {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'kubernetes.io/ssh-auth',
    metadata: { name: 'bad', namespace: 'default' },
    data,
  };
}

function node(spec: Json): Json {
  return { apiVersion: 'v1', kind: 'Node', metadata: { name: 'bad' }, spec };
}
