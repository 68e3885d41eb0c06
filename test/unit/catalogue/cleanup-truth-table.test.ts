import assert from 'node:assert/strict';
import { parseService } from '../../../operator/kube/parse-service.ts';
import { CORE_FINALIZER, FINALIZER, LOAD_BALANCER_CLASS } from '../../../operator/model/names.ts';
import { aRawService } from '../../builders/a-raw-service.ts';

/** none: no finalizer; ours: both of ours; theirs: the one that any cloud controller uses. */
const FINALIZERS = { none: [], ours: [CORE_FINALIZER, FINALIZER], theirs: [CORE_FINALIZER] } as const;
const TYPES = { ours: LOAD_BALANCER_CLASS, foreign: 'example.com/other', ClusterIP: undefined } as const;

/** What is to be done: leave it alone, serve it, or take back what it has. */
type Verdict = 'leave' | 'serve' | 'clean up';

const ROWS: readonly (readonly [keyof typeof FINALIZERS, keyof typeof TYPES, deleting: boolean, Verdict])[] = [
  ['none', 'ours', false, 'serve'],
  ['none', 'ours', true, 'clean up'],
  ['none', 'foreign', false, 'leave'],
  ['none', 'foreign', true, 'leave'],
  ['none', 'ClusterIP', false, 'leave'],
  ['none', 'ClusterIP', true, 'leave'],
  ['ours', 'ours', false, 'serve'],
  ['ours', 'ours', true, 'clean up'],
  ['ours', 'foreign', false, 'clean up'],
  ['ours', 'foreign', true, 'clean up'],
  ['ours', 'ClusterIP', false, 'clean up'],
  ['ours', 'ClusterIP', true, 'clean up'],
  ['theirs', 'ours', false, 'serve'],
  ['theirs', 'ours', true, 'clean up'],
  ['theirs', 'foreign', false, 'leave'],
  ['theirs', 'foreign', true, 'leave'],
  ['theirs', 'ClusterIP', false, 'leave'],
  ['theirs', 'ClusterIP', true, 'leave'],
];

describe('which Services need cleanup', () => {
  for (const [finalizers, type, deleting, expected] of ROWS) {
    it(`finalizers ${finalizers}, type ${type}${deleting ? ', deleting' : ''}: ${expected}`, () => {
      const service = aRawService({
        metadata: {
          finalizers: FINALIZERS[finalizers],
          ...(deleting && { deletionTimestamp: '2026-01-01T00:00:00Z' }),
        },
        spec: type === 'ClusterIP' ? { type, loadBalancerClass: undefined } : { loadBalancerClass: TYPES[type] },
      });
      const parsed = parseService(service, { claimUnclassed: true });
      const verdict: Verdict = parsed === undefined ? 'leave' : parsed.wanted ? 'serve' : 'clean up';
      assert.equal(verdict, expected);
    });
  }
});
