import assert from 'node:assert/strict';
import { parseAllocationRecord, recordAnnotations } from '../../../operator/kube/allocation-annotations.ts';
import type { AllocationRecord } from '../../../operator/model/allocation-record.ts';
import type { IpAddress } from '../../../operator/model/ip-address.ts';
import { ANNOTATION } from '../../../operator/model/names.ts';

const RECORD: AllocationRecord = { pool: 'web', addresses: ['203.0.113.10', '2001:db8::10'] as IpAddress[] };
const stored = written(RECORD);

function written(record: AllocationRecord): Record<string, string> {
  const set = Object.entries(recordAnnotations(record, 'uid-1')).filter(([, value]) => value !== null);
  return Object.fromEntries(set) as Record<string, string>;
}

describe('The allocation record of a Service', () => {
  it('is read as it was written', () => {
    assert.deepEqual(parseAllocationRecord({ ...stored, 'example.com/other': 'x' }, 'uid-1'), RECORD);
  });

  it('is spelled so that a person can read it', () => {
    assert.deepEqual(stored, {
      'ipvs-operator.io/ip-allocated-from-pool': 'web',
      'ipvs-operator.io/allocated-addresses': '203.0.113.10,2001:db8::10',
      'ipvs-operator.io/allocated-to': 'uid-1',
    });
  });

  it('tells under which key addresses are shared, which ports are its own, and what was re-allocated', () => {
    const shared = { ...RECORD, sharing: { key: 'dns', ports: ['TCP/53', 'UDP/53'] }, reallocated: '2' };
    assert.deepEqual(parseAllocationRecord(written(shared), 'uid-1'), shared);
    const none = { ...RECORD, sharing: { key: 'dns', ports: [] } };
    assert.deepEqual(parseAllocationRecord(written(none), 'uid-1'), none);
  });

  it('is removed with null', () => {
    assert.deepEqual(new Set(Object.values(recordAnnotations(undefined, 'uid-1'))), new Set([null]));
  });

  const rows: readonly [what: string, annotations: Record<string, string>][] = [
    ['another uid: copied from another object', { ...stored, [ANNOTATION.allocatedTo]: 'uid-2' }],
    ['no address', { ...stored, [ANNOTATION.allocatedAddresses]: '' }],
    ['no pool', { ...stored, [ANNOTATION.allocatedFromPool]: '' }],
    ['leading zeros', { ...stored, [ANNOTATION.allocatedAddresses]: '203.0.113.010' }],
    ['IPv4 in IPv6', { ...stored, [ANNOTATION.allocatedAddresses]: '::ffff:203.0.113.10' }],
    ['a line break', { ...stored, [ANNOTATION.allocatedAddresses]: '203.0.113.10\n' }],
    ['three addresses', { ...stored, [ANNOTATION.allocatedAddresses]: '203.0.113.1,203.0.113.2,203.0.113.3' }],
    ['none of ours', { 'example.com/other': 'x' }],
  ];
  for (const [what, annotations] of rows)
    it(`is not believed with ${what}`, () => assert.equal(parseAllocationRecord(annotations, 'uid-1'), undefined));
});
