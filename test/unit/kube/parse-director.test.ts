import assert from 'node:assert/strict';
import { parseDirector } from '../../../operator/kube/parse-director.ts';
import { aDirector } from '../../builders/a-director.ts';

const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f';
const SPEC = {
  address: '192.0.2.11',
  hostKeys: [`${KEY} root@lb-1`],
  credentials: { secretName: 'director-ssh' },
  tableOwner: 'prod',
};
const METADATA = { name: 'lb-1', uid: 'uid-of-director-lb-1', resourceVersion: '7', generation: 1 };

const parse = (spec: unknown, metadata: object = {}) =>
  parseDirector({ metadata: { ...METADATA, labels: { site: 'rack-a' }, ...metadata }, spec });

describe('parseDirector', () => {
  it('fills in what the API server would, and drops the comment of a key', () => {
    assert.deepEqual(parse(SPEC), { ok: true, value: aDirector({ hostKeys: [KEY] }) });
  });

  it('reads every field', () => {
    const rest = { port: 2222, user: 'lb', interface: 'eth0', state: 'Cordoned', driftPolicy: 'Report' } as const;
    assert.deepEqual(
      parse({ ...SPEC, ...rest, address: '2001:DB8::B' }, { deletionTimestamp: '2026-11-23T11:21:00Z' }),
      {
        ok: true,
        value: aDirector({ ...rest, address: '2001:db8::b', hostKeys: [KEY], deleting: true }),
      },
    );
  });

  const refused: readonly [what: string, spec: object, problem: RegExp][] = [
    ['no host key', { ...SPEC, hostKeys: [] }, /^spec\.hostKeys: /],
    ['no Secret', { ...SPEC, credentials: undefined }, /^spec\.credentials: /],
    ['no owner', { ...SPEC, tableOwner: undefined }, /^spec\.tableOwner: /],
    [
      'a host name',
      { ...SPEC, address: 'lb-1.example' },
      /^spec\.address: 'lb-1\.example' is not an IP address; write one/,
    ],
    ['a port that is none', { ...SPEC, port: 0 }, /^spec\.port: /],
    ['an unknown state', { ...SPEC, state: 'Gone' }, /^spec\.state: /],
  ];
  for (const [what, spec, problem] of refused) {
    it(`says what is wrong: ${what}`, () => {
      const parsed = parse(spec);
      assert.ok(!parsed.ok, 'it was accepted');
      assert.equal(parsed.name, 'lb-1');
      assert.match(parsed.problems.join('\n'), problem);
    });
  }
});
