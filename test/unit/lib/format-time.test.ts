import assert from 'node:assert/strict';
import { formatTime } from '../../../operator/lib/format-time.ts';

describe('formatTime', () => {
  it('writes metav1.Time', () => assert.equal(formatTime(1_795_432_800_999), '2026-11-23T11:20:00Z'));
});
