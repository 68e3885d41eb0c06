import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { KERNEL_SERIES } from '../../lab/image/debian-kernel.ts';
import { inOwnNetwork } from './in-own-network.ts';
import type { Seen } from './restore-life.ts';

const LIFE = fileURLToPath(new URL('restore-life.ts', import.meta.url));

const TABLE = `-A -t 203.0.113.10:80 -s mh -b mh-fallback
-A -t [2001:db8:1::10]:80 -s mh -b mh-fallback
-a -t 203.0.113.10:80 -r 192.0.2.21:80 -g -w 1
-a -t 203.0.113.10:80 -r 192.0.2.22:80 -g -w 1
-a -t 203.0.113.10:80 -r 192.0.2.23:80 -g -w 1
-a -t [2001:db8:1::10]:80 -r [2001:db8::21]:80 -g -w 1
`;
const VIPS = ['203.0.113.10/32', '2001:db8:1::10/128'];

for (const kernel of KERNEL_SERIES) {
  describe(`a director with kernel ${kernel} that is reset while no operator is there`, () => {
    const workDir = mkdtempSync(join(tmpdir(), 'restore-'));
    let seen: Seen;

    before(async function () {
      this.timeout(600_000);
      seen = await inOwnNetwork<Seen>(LIFE, [kernel, workDir]);
    });
    after(() => rmSync(workDir, { recursive: true, force: true }));

    it('has nothing to restore before it was told anything', () => {
      assert.equal(seen.firstBoot.exit, '0');
      assert.match(seen.firstBoot.said, /owner prod: there is no journal yet/);
    });

    it('comes back with the table it was told last, as ipvsadm and ip see it', () => {
      assert.deepEqual(own(seen.told), { table: TABLE, vips: VIPS });
      assert.deepEqual(own(seen.restored), { table: TABLE, vips: VIPS });
      assert.equal(seen.restored.exit, '0');
      assert.equal(seen.restored.alarm, '');
    });

    it('makes every virtual server and real server before the first VIP', () => {
      const { changes } = JSON.parse(seen.restored.said) as { changes: { kind: string }[] };
      const kinds = changes.map((change) => change.kind);
      assert.equal(kinds.length, 8);
      assert.deepEqual(kinds.slice(6), ['addAddress', 'addAddress']);
      assert.ok(!kinds.slice(0, 6).includes('addAddress'));
    });

    it('counts everything as its own, and the whole table writes nothing', () => {
      const { virtualServers, realServers, orphans } = seen.restored.keys.counts;
      assert.deepEqual({ virtualServers, realServers, orphans }, { virtualServers: 2, realServers: 4, orphans: 0 });
      assert.equal(seen.again.writes, 0);
    });

    it('still refuses a writer that was too old before the reset', () => {
      assert.match(seen.older, /epoch 3 generation 17 is older than epoch 3 generation 18/);
    });

    it('stays empty, and says so everywhere, when its journal is damaged', () => {
      assert.deepEqual(own(seen.damaged), { table: '', vips: [] });
      assert.equal(seen.damaged.exit, '1');
      assert.match(seen.damaged.alarm, /NOTHING RESTORED: the journal is damaged: .*prod\.journal at byte 0: .*mv /);
      assert.match(seen.damaged.hello.problems.join(), /the journal is damaged/);
    });

    it('is filled again, and restored again, when the damaged file is out of the way', () => {
      assert.equal(seen.repaired.writes, 8);
      assert.deepEqual(own(seen.afterRepair), { table: TABLE, vips: VIPS });
    });
  });
}

/** Table and VIPs, without the addresses that every host has. */
function own({ table, vips }: { readonly table: string; readonly vips: readonly string[] }) {
  return { table, vips: vips.filter((vip) => vip !== '127.0.0.1/8' && vip !== '::1/128') };
}
