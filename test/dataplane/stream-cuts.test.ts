import assert from 'node:assert/strict';
import type { Cut } from '../integration/ssh/tcp-proxy.ts';
import { Lab } from '../lab/lab.ts';
import { type Carried, CutDirector } from './cut-director.ts';

const DIRECTIONS = ['toHost', 'fromHost'] as const;

/** The operator's own client through a proxy to sshd, the helper and the kernel of a director. (Random bytes: test/integration/ssh.) */
describe('the SSH stream between operator and director is cut', function () {
  this.timeout(300_000);
  let lab: Lab;
  let directors: readonly CutDirector[];
  /** What a session carries: up to the hello, the first answer and the second. */
  let frames: readonly Carried[];

  before(async () => {
    lab = await Lab.attach();
    directors = await Promise.all([1, 2].map((number) => CutDirector.prepare(lab, number)));
    frames = (await directors[0]?.session()) ?? [];
    assert.equal(frames.length, 3);
  });
  after(async () => {
    for (const director of directors ?? []) await director.stop();
    lab?.close();
  });

  /** Spreads the cuts over the directors, each of which takes one after the other. */
  async function cutAll(cuts: readonly Cut[]): Promise<void> {
    const left = [...cuts];
    await Promise.all(
      directors.map(async (director) => {
        for (let cut = left.pop(); cut !== undefined; cut = left.pop()) await director.cut(cut);
      }),
    );
  }

  it('before, in and behind every frame: a request is carried out whole or has not begun', async () => {
    const places = frames.flatMap((carried) =>
      DIRECTIONS.flatMap((direction) => [-1, 0, 1, 40].map((by) => ({ direction, bytes: carried[direction] + by }))),
    );
    await cutAll(places.map((place) => ({ ...place, effect: 'close' })));
  });

  it('and what is unrelated was there at every look', async () => {
    for (const director of directors) {
      await director.session();
      const { polls, absent } = await director.clear();
      assert.equal(absent, '');
      assert.ok(polls >= frames.length, `${polls} polls`);
    }
  });
});
