import assert from 'node:assert/strict';
import { parseServiceCidr } from '../../../operator/kube/parse-service-cidr.ts';

const metadata = { name: 'kubernetes', uid: 'u', resourceVersion: '1' };

describe('parseServiceCidr', () => {
  const rows: readonly [what: string, spec: unknown, cidrs: readonly string[]][] = [
    ['one family', { cidrs: ['198.18.0.0/17'] }, ['198.18.0.0/17']],
    ['both families', { cidrs: ['198.18.0.0/17', '2001:DB8:F::/112'] }, ['198.18.0.0/17', '2001:db8:f::/112']],
    ['what is no range', { cidrs: ['198.18.0.0', 7, '198.18.128.0/17'] }, ['198.18.128.0/17']],
    ['no range', {}, []],
    ['no spec', undefined, []],
  ];
  for (const [what, spec, cidrs] of rows)
    it(`reads ${what}`, () => {
      assert.deepEqual(parseServiceCidr({ metadata, spec }), { name: 'kubernetes', cidrs });
    });

  it('reads one that is being deleted: cluster IPs may be taken from it still', () => {
    const deleted = { ...metadata, deletionTimestamp: '2026-01-01T00:00:00Z' };
    const read = parseServiceCidr({ metadata: deleted, spec: { cidrs: ['198.18.0.0/17'] } });
    assert.deepEqual(read.cidrs, ['198.18.0.0/17']);
  });
});
