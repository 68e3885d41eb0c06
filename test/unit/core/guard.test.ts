import assert from 'node:assert/strict';
import { guardRemovals } from '../../../operator/core/guard.ts';
import { formatVirtualServerKey } from '../../../operator/model/virtual-server.ts';
import { aVirtualServer } from '../../builders/a-virtual-server.ts';

const table = (size: number) => Array.from({ length: size }, (_, port) => aVirtualServer({ port: port + 1 }));
const texts = (servers: ReturnType<typeof table>) => new Set(servers.map(formatVirtualServerKey));

describe('guardRemovals', () => {
  const rows: readonly [held: number, kept: number, explained: number, allowed: boolean][] = [
    [0, 0, 0, true],
    [10, 10, 0, true],
    [5, 0, 0, true],
    [6, 0, 0, false],
    [10, 5, 0, true],
    [10, 4, 0, false],
    [100, 80, 0, true],
    [100, 79, 0, false],
    [100, 0, 100, true],
    [100, 0, 80, true],
    [100, 0, 79, false],
  ];
  for (const [held, kept, explained, allowed] of rows) {
    it(`${held} held, ${kept} desired, ${explained} of the removals explained: ${allowed ? 'goes on' : 'is held'}`, () => {
      const all = table(held);
      const removed = all.slice(kept);
      const verdict = guardRemovals({
        held: all,
        desired: all.slice(0, kept),
        explained: texts(removed.slice(0, explained)),
      });
      assert.equal(verdict.allowed, allowed);
      assert.equal(verdict.unexplained.length, removed.length - explained);
      assert.equal(verdict.message === '', allowed);
    });
  }

  it('says how many, which, and what to do', () => {
    const { message } = guardRemovals({ held: table(30), desired: [], explained: new Set() });
    assert.match(
      message,
      /30 of 30 virtual servers.*limit 6.*TCP 203\.0\.113\.10:1, .* and 27 more.*They stay\. Check/s,
    );
  });
});
