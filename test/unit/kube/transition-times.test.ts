import assert from 'node:assert/strict';
import { withTransitionTimes } from '../../../operator/kube/transition-times.ts';
import type { Condition } from '../../../operator/model/condition.ts';

const READY: Condition = { type: 'Ready', status: 'True', reason: 'InSync', message: 'All is well.' };
const EARLIER = '2026-01-01T00:00:00Z';
const NOW = Date.UTC(2026, 0, 2);

describe('withTransitionTimes', () => {
  const rows: [string, unknown, string][] = [
    ['a new condition: now', undefined, '2026-01-02T00:00:00Z'],
    ['the same: as before', [{ ...READY, lastTransitionTime: EARLIER }], EARLIER],
    ['another reason: as before', [{ ...READY, reason: 'Other', lastTransitionTime: EARLIER }], EARLIER],
    ['another status: now', [{ ...READY, status: 'False', lastTransitionTime: EARLIER }], '2026-01-02T00:00:00Z'],
    ['another type: now', [{ ...READY, type: 'Other', lastTransitionTime: EARLIER }], '2026-01-02T00:00:00Z'],
    ['stored without a time: now', [READY], '2026-01-02T00:00:00Z'],
  ];
  for (const [name, stored, lastTransitionTime] of rows) {
    it(name, () => assert.deepEqual(withTransitionTimes([READY], stored, NOW), [{ ...READY, lastTransitionTime }]));
  }
});
