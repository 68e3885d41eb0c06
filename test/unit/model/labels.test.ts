import assert from 'node:assert/strict';
import { type LabelSelector, type LabelSet, matchesSelector } from '../../../operator/model/labels.ts';

const LABELS: LabelSet = { site: 'rack-a', tier: 'front' };

const rows: readonly [what: string, selector: LabelSelector, matches: boolean][] = [
  ['an empty selector', {}, true],
  ['an equal label', { matchLabels: { site: 'rack-a' } }, true],
  ['another value', { matchLabels: { site: 'rack-b' } }, false],
  ['one label of two', { matchLabels: { site: 'rack-a', tier: 'back' } }, false],
  ['In', { matchExpressions: [{ key: 'site', operator: 'In', values: ['rack-a', 'rack-b'] }] }, true],
  ['In, absent key', { matchExpressions: [{ key: 'zone', operator: 'In', values: ['a'] }] }, false],
  ['NotIn', { matchExpressions: [{ key: 'site', operator: 'NotIn', values: ['rack-a'] }] }, false],
  ['NotIn, absent key', { matchExpressions: [{ key: 'zone', operator: 'NotIn', values: ['a'] }] }, true],
  ['Exists', { matchExpressions: [{ key: 'site', operator: 'Exists' }] }, true],
  ['Exists, absent key', { matchExpressions: [{ key: 'zone', operator: 'Exists' }] }, false],
  ['DoesNotExist', { matchExpressions: [{ key: 'site', operator: 'DoesNotExist' }] }, false],
  ['DoesNotExist, absent key', { matchExpressions: [{ key: 'zone', operator: 'DoesNotExist' }] }, true],
];

describe('matchesSelector', () => {
  for (const [what, selector, matches] of rows) {
    it(`${what}: ${matches}`, () => assert.equal(matchesSelector(LABELS, selector), matches));
  }
});
