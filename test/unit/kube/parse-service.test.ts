import assert from 'node:assert/strict';
import { parseService } from '../../../operator/kube/parse-service.ts';
import type { LoadBalancedService } from '../../../operator/model/load-balanced-service.ts';
import { ANNOTATION, CORE_FINALIZER, FINALIZER, SOURCE_RANGES_ANNOTATION } from '../../../operator/model/names.ts';
import { aRawService, type RawServiceOverrides } from '../../builders/a-raw-service.ts';

const ONLY_OURS = { claimUnclassed: false };

function parsed(overrides: RawServiceOverrides = {}, selection = ONLY_OURS): LoadBalancedService {
  const service = parseService(aRawService(overrides), selection);
  assert.ok(service, 'the Service is not ours');
  return service;
}

function annotated(annotations: Record<string, string>, spec: Record<string, unknown> = {}): LoadBalancedService {
  return parsed({ metadata: { annotations }, spec });
}

describe('parseService', () => {
  it('reads a plain Service whole', () => {
    assert.deepEqual(parsed({ metadata: { labels: { app: 'web' }, generation: 3 } }), {
      key: 'shop/web',
      namespace: 'shop',
      name: 'web',
      uid: '7d7e3c38-0000-4000-8000-000000000001',
      generation: 3,
      resourceVersion: '42',
      createdAt: Date.UTC(2026, 0, 1),
      labels: { app: 'web' },
      wanted: true,
      deleting: false,
      finalizers: [],
      ports: [{ name: 'http', protocol: 'TCP', port: 80, nodePort: 30080 }],
      ipFamilies: ['IPv4'],
      ipFamilyPolicy: 'SingleStack',
      externalTrafficPolicy: 'Cluster',
      allocatesNodePorts: true,
      sourceRanges: [],
      request: { addresses: [] },
      overrides: {},
      problems: [],
      ingress: [],
      conditions: [],
    });
  });

  describe('whose Service it is', () => {
    const unclassed = { spec: { loadBalancerClass: undefined } };
    const foreign = { spec: { loadBalancerClass: 'example.com/other' } };
    const clusterIP = { spec: { type: 'ClusterIP', loadBalancerClass: undefined } };
    const rows: [string, RawServiceOverrides, boolean, boolean | undefined][] = [
      ['our class', {}, false, true],
      ['no class', unclassed, false, undefined],
      ['no class, when those are ours too', unclassed, true, true],
      ['another class', foreign, true, undefined],
      ['another type', clusterIP, true, undefined],
      ['another type, our finalizer', { ...clusterIP, metadata: { finalizers: [FINALIZER] } }, false, false],
      ['another class, our finalizer', { ...foreign, metadata: { finalizers: [FINALIZER] } }, false, false],
      [
        'another type, only the finalizer of the core',
        { ...clusterIP, metadata: { finalizers: [CORE_FINALIZER] } },
        false,
        undefined,
      ],
      ['our class, being deleted', { metadata: { deletionTimestamp: '2026-01-02T00:00:00Z' } }, false, false],
    ];
    for (const [name, overrides, claimUnclassed, wanted] of rows) {
      it(`${name}: ${wanted === undefined ? 'none of our business' : wanted ? 'wanted' : 'to be cleaned up'}`, () => {
        assert.equal(parseService(aRawService(overrides), { claimUnclassed })?.wanted, wanted);
      });
    }
  });

  it('reads ports of every protocol, and defaults', () => {
    const ports = [{ port: 53, protocol: 'UDP', nodePort: 30053 }, { port: 36412, protocol: 'SCTP' }, { port: 80 }];
    assert.deepEqual(parsed({ spec: { ports } }).ports, [
      { name: '', protocol: 'UDP', port: 53, nodePort: 30053 },
      { name: '', protocol: 'SCTP', port: 36412, nodePort: 0 },
      { name: '', protocol: 'TCP', port: 80, nodePort: 0 },
    ]);
  });

  it('reads families, policies and affinity', () => {
    const service = parsed({
      spec: {
        ipFamilies: ['IPv6', 'IPv4'],
        ipFamilyPolicy: 'RequireDualStack',
        externalTrafficPolicy: 'Local',
        allocateLoadBalancerNodePorts: false,
        sessionAffinity: 'ClientIP',
        sessionAffinityConfig: { clientIP: { timeoutSeconds: 600 } },
      },
    });
    assert.deepEqual(service.ipFamilies, ['IPv6', 'IPv4']);
    assert.equal(service.ipFamilyPolicy, 'RequireDualStack');
    assert.equal(service.externalTrafficPolicy, 'Local');
    assert.equal(service.allocatesNodePorts, false);
    assert.equal(service.clientIpAffinitySeconds, 600);
    assert.equal(parsed({ spec: { sessionAffinity: 'ClientIP' } }).clientIpAffinitySeconds, 10_800);
  });

  it('reads our own status and annotation, and leaves that of others', () => {
    const service = parsed({
      metadata: { annotations: { [ANNOTATION.allocatedFromPool]: 'public' } },
      status: {
        loadBalancer: {
          ingress: [
            { ip: '203.0.113.10' },
            { ip: '2001:DB8:0::1', ipMode: 'Proxy', ports: [{ port: 80, protocol: 'UDP', error: 'None' }] },
            { hostname: 'lb.example.com' },
          ],
        },
        conditions: [
          { type: 'example.com/Other', status: 'True', reason: 'X', message: '', lastTransitionTime: 'x' },
          {
            type: 'ipvs-operator.io/Programmed',
            status: 'False',
            reason: 'NoDirector',
            message: 'None.',
            observedGeneration: 2,
            lastTransitionTime: '2026-01-01T00:00:00Z',
          },
        ],
      },
    });
    assert.equal(service.allocatedFromPool, 'public');
    assert.equal(service.record, undefined, 'a version before kept no record');
    assert.deepEqual(service.ingress, [
      { ip: '203.0.113.10', ipMode: 'VIP' },
      { ip: '2001:db8::1', ipMode: 'Proxy', ports: [{ port: 80, protocol: 'UDP', error: 'None' }] },
    ]);
    assert.deepEqual(service.conditions, [
      {
        type: 'ipvs-operator.io/Programmed',
        status: 'False',
        reason: 'NoDirector',
        message: 'None.',
        observedGeneration: 2,
      },
    ]);
  });

  describe('addresses asked for', () => {
    const dual = { ipFamilies: ['IPv4', 'IPv6'] };
    it('come from the annotation, in any spelling', () => {
      const { request, problems } = annotated({ [ANNOTATION.loadBalancerIPs]: ' 203.0.113.10 , 2001:DB8::0:1' }, dual);
      assert.deepEqual(request, { addresses: ['203.0.113.10', '2001:db8::1'] });
      assert.deepEqual(problems, []);
    });

    it('or from spec.loadBalancerIP, and the pool from its annotation', () => {
      const { request } = annotated({ [ANNOTATION.addressPool]: ' public ' }, { loadBalancerIP: '203.0.113.10' });
      assert.deepEqual(request, { addresses: ['203.0.113.10'], pool: 'public' });
    });

    it('may be said in both places when they agree', () => {
      const annotations = { [ANNOTATION.loadBalancerIPs]: '203.0.113.10,2001:db8::1' };
      const { request, problems } = annotated(annotations, { ...dual, loadBalancerIP: '203.0.113.10' });
      assert.deepEqual(request.addresses, ['203.0.113.10', '2001:db8::1']);
      assert.deepEqual(problems, []);
    });
  });

  describe('problems', () => {
    const ips = ANNOTATION.loadBalancerIPs;
    const rows: [string, Record<string, string>, Record<string, unknown>, RegExp[]][] = [
      [
        'an address that is none',
        { [ips]: '203.0.113.300' },
        {},
        [/loadBalancerIPs: "203.0.113.300" is not an IP address/],
      ],
      [
        'a prefix',
        { [ips]: '203.0.113.0/28' },
        {},
        [/"203.0.113.0\/28" is not an IP address; write one, without a prefix/],
      ],
      ['a bad spec.loadBalancerIP', {}, { loadBalancerIP: 'x' }, [/spec.loadBalancerIP: "x" is not an IP address/]],
      [
        'two of one family',
        { [ips]: '203.0.113.1,203.0.113.2' },
        {},
        [/several IPv4 addresses \(203.0.113.1, 203.0.113.2\)/],
      ],
      [
        'both places, contradicting',
        { [ips]: '203.0.113.1' },
        { loadBalancerIP: '203.0.113.2' },
        [/spec.loadBalancerIP is 203.0.113.2, but the annotation .* asks for 203.0.113.1: remove one/],
      ],
      [
        'a family the Service lacks',
        { [ips]: '2001:db8::1' },
        {},
        [/2001:db8::1 is asked for, but spec.ipFamilies .* no IPv6/],
      ],
      [
        'an unknown scheduler',
        { [ANNOTATION.scheduler]: 'best' },
        {},
        [/scheduler has the value "best", which is none of rr, wrr/],
      ],
      [
        'an unknown flag',
        { [ANNOTATION.schedulerFlags]: 'mh-port,fast' },
        {},
        [/scheduler-flags has the value "fast"/],
      ],
      [
        'an unknown forwarding method',
        { [ANNOTATION.forwardingMethod]: 'Teleporting' },
        {},
        [/forwarding-method has the value "Teleporting", which is none of DirectRouting, Tunneling, Masquerading/],
      ],
      [
        'unknown backends',
        { [ANNOTATION.backends]: 'pods' },
        {},
        [/backends has the value "pods", which is none of Nodes, Pods/],
      ],
      [
        'a threshold that is no number',
        { [ANNOTATION.upperThreshold]: 'many', [ANNOTATION.lowerThreshold]: '-1' },
        {},
        [/upper-threshold has the value "many", which is no number from 0/, /lower-threshold has the value "-1"/],
      ],
      [
        'one packet perhaps',
        { [ANNOTATION.udpOnePacket]: 'maybe' },
        {},
        [/udp-one-packet has the value "maybe", which is none of true, false/],
      ],
      ['unknown weights', { [ANNOTATION.weights]: '' }, {}, [/weights has the value ""/]],
      [
        'a drain timeout',
        { [ANNOTATION.drainTimeout]: '30' },
        {},
        [/drain-timeout has the value "30", which is no duration/],
      ],
      ['a long drain timeout', { [ANNOTATION.drainTimeout]: '48h' }, {}, [/drain-timeout has the value "48h"/]],
      [
        'a source range that is none',
        {},
        { loadBalancerSourceRanges: ['198.51.100.0/24', '198.51.100.7'] },
        [/spec\.loadBalancerSourceRanges: "198\.51\.100\.7" is not a CIDR range; write for example/],
      ],
      [
        'a source range in the annotation that is none',
        { [SOURCE_RANGES_ANNOTATION]: '198.51.100.0/24,here' },
        {},
        [/load-balancer-source-ranges: "here" is not a CIDR range/],
      ],
      ['headless', {}, { clusterIP: 'None' }, [/spec.clusterIP is None: a headless Service/]],
      [
        'several at once, all told',
        { [ANNOTATION.scheduler]: 'best', [ips]: 'x,y' },
        {},
        [/"x" is not/, /"y" is not/, /scheduler has/],
      ],
    ];
    for (const [name, annotations, spec, sentences] of rows) {
      it(name, () => {
        const { problems } = annotated(annotations, spec);
        assert.equal(problems.length, sentences.length, problems.join('\n'));
        for (const [i, sentence] of sentences.entries()) assert.match(problems[i] ?? '', sentence);
      });
    }

    it('of a Service that is not wanted do not matter', () => {
      const service = parsed({
        metadata: { annotations: { [ANNOTATION.scheduler]: 'best' }, finalizers: [FINALIZER] },
        spec: { type: 'ClusterIP' },
      });
      assert.deepEqual(service.problems, []);
    });
  });

  it('reads source ranges: the field, else the annotation, canonical, sorted, each once', () => {
    const field = { loadBalancerSourceRanges: ['2001:DB8::/32', ' 198.51.100.7/24 ', '198.51.100.0/24'] };
    const older = { [SOURCE_RANGES_ANNOTATION]: '203.0.113.0/24, 192.0.2.0/24' };
    assert.deepEqual(annotated({}).sourceRanges, []);
    assert.deepEqual(annotated({ [SOURCE_RANGES_ANNOTATION]: ' ' }).sourceRanges, []);
    assert.deepEqual(annotated({}, field).sourceRanges, ['198.51.100.0/24', '2001:db8::/32']);
    assert.deepEqual(annotated(older).sourceRanges, ['192.0.2.0/24', '203.0.113.0/24']);
    assert.deepEqual(annotated(older, field).sourceRanges, ['198.51.100.0/24', '2001:db8::/32']);
  });

  it('reads overrides', () => {
    const { overrides, problems } = annotated({
      [ANNOTATION.scheduler]: 'wlc',
      [ANNOTATION.schedulerFlags]: 'mh-port, mh-fallback, mh-port',
      [ANNOTATION.forwardingMethod]: 'Masquerading',
      [ANNOTATION.backends]: 'Pods',
      [ANNOTATION.upperThreshold]: '100',
      [ANNOTATION.lowerThreshold]: ' 80 ',
      [ANNOTATION.udpOnePacket]: 'true',
      [ANNOTATION.weights]: 'ReadyPods',
      [ANNOTATION.drainTimeout]: ' 1m30s ',
    });
    assert.deepEqual(problems, []);
    assert.deepEqual(overrides, {
      scheduler: 'wlc',
      schedulerFlags: ['mh-port', 'mh-fallback'],
      forwardingMethod: 'Masquerading',
      backends: 'Pods',
      upperThreshold: 100,
      lowerThreshold: 80,
      udpOnePacket: true,
      weights: 'ReadyPods',
      drainSeconds: 90,
    });
    assert.deepEqual(annotated({ [ANNOTATION.drainTimeout]: '0s' }).overrides, { drainSeconds: 0 });
    assert.deepEqual(annotated({ [ANNOTATION.schedulerFlags]: '' }).overrides, { schedulerFlags: [] });
  });
});
