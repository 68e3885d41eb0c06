import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import type { ApplyRequest } from '../../../operator/controllers/ports.ts';
import type { CidrRange } from '../../../operator/model/cidr-range.ts';
import type { IpAddress } from '../../../operator/model/ip-address.ts';
import { decodeHello, decodeResponse, encodeRequest, RESULT_OF, type WireRequest } from '../../../operator/ssh/wire.ts';
import { aRealServer, aVirtualServer } from '../../builders/a-virtual-server.ts';

/** The frames that both sides agree on: the helper's own tests read the same files. */
function golden(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`../../../helper/testdata/${name}.json`, import.meta.url), 'utf8'));
}

function payload(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

/** The golden value with one thing changed, named by its path. */
function changed(name: string, path: string, value: unknown): unknown {
  const copy = golden(name);
  const steps = path.split('.');
  const last = steps.pop() ?? '';
  const parent = steps.reduce((at, step) => Reflect.get(at as object, step), copy);
  if (value === undefined) Reflect.deleteProperty(parent as object, last);
  else Reflect.set(parent as object, last, value);
  return copy;
}

function sent(id: number, request: WireRequest): unknown {
  const frame = encodeRequest(id, request);
  assert.ok(frame.ok);
  return JSON.parse(frame.bytes.subarray(4).toString('utf8'));
}

const absentKey = { address: '203.0.113.11' as IpAddress, port: 53, protocol: 'UDP' } as const;
const applyRequest: ApplyRequest = {
  epoch: 3,
  generation: 18,
  dryRun: false,
  scope: 'listed',
  interface: 'lo',
  virtualServers: [
    aVirtualServer({
      schedulerFlags: ['mh-fallback', 'mh-port'],
      drainSeconds: 30,
      realServers: [aRealServer(), aRealServer({ address: '192.0.2.22' })],
      gone: [{ address: '192.0.2.23' as IpAddress, port: 80 }],
    }),
    aVirtualServer({
      address: '2001:db8::10',
      port: 443,
      scheduler: 'wlc',
      schedulerFlags: [],
      persistence: { timeoutSeconds: 10_800, prefixLength: 128 },
      realServers: [
        aRealServer({
          address: '2001:db8:0:1::21',
          port: 30_443,
          weight: 3,
          forwardingMethod: 'Masquerading',
          upperThreshold: 1000,
          lowerThreshold: 800,
        }),
      ],
    }),
  ],
  absent: [absentKey],
};

describe('encodeRequest', () => {
  it('writes a ping', () => assert.deepEqual(sent(1, { op: 'ping' }), golden('request-ping')));

  it('writes a preflight', () => assert.deepEqual(sent(6, { op: 'preflight' }), golden('request-preflight')));

  it('writes a read', () => assert.deepEqual(sent(2, { op: 'read', what: 'keys' }), golden('request-read')));

  it('writes an apply', () => assert.deepEqual(sent(3, { op: 'apply', ...applyRequest }), golden('request-apply')));

  it('writes tunnels, packet rules and settings of the host', () => {
    const forwarding: ApplyRequest = {
      ...applyRequest,
      generation: 22,
      virtualServers: [
        aVirtualServer({
          sourceRanges: ['198.51.100.0/24' as CidrRange, '2001:db8::/32' as CidrRange],
          mssClamp: 1400,
          realServers: [
            aRealServer({ forwardingMethod: 'Tunneling', tunnel: { type: 'gue', port: 6080, checksum: true } }),
            aRealServer({
              address: '192.0.2.22',
              forwardingMethod: 'Tunneling',
              tunnel: { type: 'ipip', checksum: false },
            }),
            aRealServer({
              address: '192.0.2.23',
              forwardingMethod: 'Tunneling',
              tunnel: { type: 'gue', port: 6080, checksum: false, remoteChecksum: true },
            }),
          ],
        }),
        aVirtualServer({
          address: '203.0.113.11',
          port: 53,
          protocol: 'UDP',
          scheduler: 'rr',
          schedulerFlags: [],
          masquerade: true,
          realServers: [aRealServer({ port: 30_053, forwardingMethod: 'Masquerading' })],
        }),
      ],
      absent: [],
      host: {
        sysctls: { 'net.ipv4.vs.conntrack': '1' },
        timeouts: { tcpSeconds: 900, tcpFinSeconds: 120, udpSeconds: 300 },
      },
    };
    assert.deepEqual(sent(8, { op: 'apply', ...forwarding }), golden('request-apply-forwarding'));
  });

  it('writes a dry run of the whole table', () => {
    const all: WireRequest = {
      op: 'apply',
      epoch: 3,
      generation: 19,
      dryRun: true,
      scope: 'all',
      interface: 'lo',
      virtualServers: [],
      absent: [],
    };
    assert.deepEqual(sent(4, all), golden('request-apply-all'));
  });

  it('sends no field that the protocol does not know, since the helper would refuse it', () => {
    const marked = {
      ...applyRequest,
      virtualServers: applyRequest.virtualServers.map((each) => ({
        ...each,
        service: 'default/web',
        realServers: each.realServers.map((real) => ({ ...real, node: 'node1' })),
      })),
      absent: [{ ...absentKey, service: 'default/old' }],
    };
    assert.deepEqual(sent(3, { op: 'apply', ...marked }), golden('request-apply'));
  });
});

describe('decodeHello', () => {
  it('reads a fit director', () => {
    const { type: _, ...hello } = golden('hello') as Record<string, unknown>;
    assert.deepEqual(decodeHello(payload(golden('hello'))), { kind: 'hello', hello });
  });

  it('reads the problems of an unfit one', () => {
    const decoded = decodeHello(payload(golden('hello-unfit')));
    assert.equal(decoded.kind === 'hello' && decoded.hello.problems.length, 2);
  });

  it('ignores fields of a newer helper', () => {
    const decoded = decodeHello(payload(changed('hello', 'capabilities.sync', { daemons: 2 })));
    assert.equal(decoded.kind, 'hello');
    assert.ok(decoded.kind === 'hello' && !('sync' in decoded.hello.capabilities));
  });

  const protocols: [min: number, max: number, kind: string][] = [
    [1, 1, 'hello'],
    [1, 9, 'hello'],
    [0, 1, 'hello'],
    [2, 3, 'incompatible'],
    [0, 0, 'incompatible'],
  ];
  for (const [min, max, kind] of protocols) {
    it(`takes protocol ${min} to ${max} for ${kind}`, () => {
      assert.equal(decodeHello(payload(changed('hello', 'protocol', { min, max }))).kind, kind);
    });
  }

  it('knows an incompatible helper whose hello has another form', () => {
    const decoded = decodeHello(payload({ type: 'hello', protocol: { min: 7, max: 8 }, version: '9.0.0', nodes: [] }));
    assert.deepEqual(decoded, { kind: 'incompatible', protocol: { min: 7, max: 8 }, version: '9.0.0' });
  });

  const wrong: [path: string, value: unknown][] = [
    ['type', 'hi'],
    ['protocol', 1],
    ['protocol.min', '1'],
    ['version', 1],
    ['owner', null],
    ['epoch', -1],
    ['epoch', 1.5],
    ['generation', 2 ** 60],
    ['generation', '17'],
    ['capabilities', undefined],
    ['capabilities.ipvs', 'yes'],
    ['capabilities.schedulers', 'rr'],
    ['capabilities.schedulers', [1]],
    ['problems', null],
  ];
  for (const [path, value] of wrong) {
    it(`refuses ${path}: ${JSON.stringify(value)}`, () => {
      const decoded = decodeHello(payload(changed('hello', path, value)));
      assert.equal(decoded.kind, 'malformed');
      assert.ok(decoded.kind === 'malformed' && decoded.problem.includes(path.split('.')[0] ?? ''));
    });
  }

  it('makes texts printable', () => {
    const decoded = decodeHello(payload(changed('hello', 'problems', ['\u001b[2Jgone', 'x'.repeat(5000)])));
    assert.ok(decoded.kind === 'hello');
    assert.equal(decoded.hello.problems[0], '[2Jgone');
    assert.equal(decoded.hello.problems[1]?.length, 1025);
  });
});

describe('decodeResponse', () => {
  function resultOf(name: string): object {
    return (golden(name) as { result: object }).result;
  }

  it('reads the answer to a preflight', () => {
    const decoded = decodeResponse(payload(golden('response-preflight')), 6, RESULT_OF.preflight);
    const { result } = golden('response-preflight') as { result: { checks: unknown } };
    assert.deepEqual(decoded, { kind: 'ok', value: result.checks });
  });

  it('reads the answer to a ping', () => {
    const decoded = decodeResponse(payload(golden('response-ping')), 1, RESULT_OF.ping);
    assert.deepEqual(decoded, { kind: 'ok', value: undefined });
  });

  it('reads the answer to a read', () => {
    const decoded = decodeResponse(payload(golden('response-read-keys')), 2, RESULT_OF.readKeys);
    assert.deepEqual(decoded, { kind: 'ok', value: resultOf('response-read-keys') });
  });

  it('reads the answer to an apply', () => {
    const decoded = decodeResponse(payload(golden('response-apply')), 3, RESULT_OF.apply);
    assert.deepEqual(decoded, { kind: 'ok', value: resultOf('response-apply') });
  });

  for (const [name, id] of [
    ['response-fenced', 6],
    ['response-protocol-error', 7],
  ] as const) {
    it(`reads the refusal ${name}`, () => {
      const decoded = decodeResponse(payload(golden(name)), id, RESULT_OF.apply);
      assert.deepEqual(decoded, { kind: 'refused', error: (golden(name) as { error: object }).error });
    });
  }

  it('ignores fields of a newer helper, at every level', () => {
    let value = changed('response-apply', 'result.counts.draining', 3);
    value = { ...(value as object), took: 12 };
    assert.equal(decodeResponse(payload(value), 3, RESULT_OF.apply).kind, 'ok');
  });

  it('leaves out firewall marks made under our owner, and nothing else', () => {
    const keys = (entries: readonly object[]) =>
      decodeResponse(payload(changed('response-read-keys', 'result.keys', entries)), 2, RESULT_OF.readKeys);
    const decoded = keys([{ firewallMark: 7, family: 'IPv4' }, absentKey]);
    assert.deepEqual(decoded.kind === 'ok' && decoded.value.keys, [absentKey]);
    assert.equal(keys([{ ...absentKey, port: 0 }]).kind, 'malformed');
  });

  it('leaves out entries of others that no key of ours can name', () => {
    const foreign = [{ firewallMark: 7 }, { address: '198.51.100.1', port: 0, protocol: 'TCP' }, absentKey];
    const decoded = decodeResponse(
      payload(changed('response-read-keys', 'result.foreign', foreign)),
      2,
      RESULT_OF.readKeys,
    );
    assert.deepEqual(decoded.kind === 'ok' && decoded.value.foreign, [absentKey]);
  });

  it('makes addresses canonical', () => {
    const decoded = decodeResponse(
      payload(changed('response-read-keys', 'result.addresses', ['2001:DB8:0:0::1'])),
      2,
      RESULT_OF.readKeys,
    );
    assert.deepEqual(decoded.kind === 'ok' && decoded.value.addresses, ['2001:db8::1']);
  });

  const wrong: [name: string, path: string, value: unknown][] = [
    ['response-apply', 'id', '3'],
    ['response-apply', 'id', undefined],
    ['response-apply', 'ok', 'true'],
    ['response-apply', 'result', undefined],
    ['response-apply', 'result', []],
    ['response-apply', 'result.changes', null],
    ['response-apply', 'result.changes.0.kind', 1],
    ['response-apply', 'result.errors.0.class', 'surprise'],
    ['response-apply', 'result.failed.0.port', 0],
    ['response-apply', 'result.failed.0.address', '1.2.3'],
    ['response-apply', 'result.failed.0.protocol', 'ICMP'],
    ['response-apply', 'result.writes', -1],
    ['response-apply', 'result.totalWrites', 1e300],
    ['response-apply', 'result.tableHash', 17],
    ['response-apply', 'result.counts.realServers', '2'],
    ['response-fenced', 'error', undefined],
    ['response-fenced', 'error.highest', { epoch: 3 }],
    ['response-fenced', 'error.message', {}],
  ];
  for (const [name, path, value] of wrong) {
    it(`refuses ${path}: ${JSON.stringify(value)}`, () => {
      const id = name === 'response-apply' ? 3 : 6;
      const decoded = decodeResponse(payload(changed(name, path, value)), id, RESULT_OF.apply);
      assert.equal(decoded.kind, 'malformed');
    });
  }

  it('refuses the answer to another request, and quotes what the helper said', () => {
    const decoded = decodeResponse(payload(golden('response-protocol-error')), 8, RESULT_OF.ping);
    assert.ok(decoded.kind === 'malformed');
    assert.match(decoded.problem, /answers request 7 while request 8 is in flight.*unknown field "virtualServer"/);
  });

  it('never throws, whatever the bytes or the JSON', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.json().map((text) => Buffer.from(text)),
          mutatedApply(),
        ),
        (bytes) => {
          decodeHello(Buffer.from(bytes));
          decodeResponse(Buffer.from(bytes), 3, RESULT_OF.apply);
          decodeResponse(Buffer.from(bytes), 3, RESULT_OF.readKeys);
        },
      ),
    );
  });

  it('survives JSON nested too deep for a recursive reader', () => {
    assert.equal(decodeResponse(Buffer.from('['.repeat(1 << 20)), 3, RESULT_OF.ping).kind, 'malformed');
  });

  /** The golden apply response with one field replaced by anything. */
  function mutatedApply(): fc.Arbitrary<Uint8Array> {
    const paths = [
      'id',
      'ok',
      'result',
      'result.changes',
      'result.errors.0',
      'result.failed.0.address',
      'result.counts',
    ];
    return fc
      .tuple(fc.constantFrom(...paths), fc.jsonValue())
      .map(([path, value]) => payload(changed('response-apply', path, value)));
  }
});
