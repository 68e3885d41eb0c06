import assert from 'node:assert/strict';
import { KnownDeaths } from '../../../operator/controllers/known-deaths.ts';
import { aNode } from '../../builders/a-node.ts';
import { FakeClock } from '../../fakes/fake-clock.ts';

const other = aNode({ name: 'node-2', internalIPs: ['192.0.2.22'] });
const silent = aNode({ silent: true });

describe('KnownDeaths', () => {
  let clock: FakeClock;
  let deaths: KnownDeaths;
  beforeEach(() => {
    clock = new FakeClock(1);
    deaths = new KnownDeaths(clock);
  });
  const known = () => [deaths.hasNode('node-1'), deaths.hasAddress('192.0.2.21')];

  it('leaves a deleted node what it was: dead', () => {
    deaths.observe([silent, other]);
    assert.deepEqual(known(), [true, true]);
    deaths.observe([other]);
    assert.deepEqual(known(), [true, true]);
  });

  it('leaves a deleted node what it was: alive', () => {
    deaths.observe([aNode(), other]);
    deaths.observe([other]);
    assert.deepEqual(known(), [false, false]);
  });

  it('knows one that is heard of again, or made anew, as alive', () => {
    deaths.observe([silent, other]);
    deaths.observe([other]);
    deaths.observe([aNode(), other]);
    assert.deepEqual(known(), [false, false]);
  });

  it('calls no address dead that a living node has', () => {
    deaths.observe([silent, aNode({ name: 'twin' })]);
    assert.deepEqual(known(), [true, false]);
  });

  it('forgets a deleted one when no drain can last any more', async () => {
    deaths.observe([silent, other]);
    deaths.observe([other]);
    await clock.advance(24 * 3_600_000);
    deaths.observe([other]);
    assert.deepEqual(known(), [true, true]);
    await clock.advance(2 * 3_600_000);
    deaths.observe([other]);
    assert.deepEqual(known(), [false, false]);
  });
});
