import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { KERNEL_SERIES } from '../../lab/image/debian-kernel.ts';
import type { Seen } from './director-life.ts';
import { inOwnNetwork } from './in-own-network.ts';

const LIFE = fileURLToPath(new URL('director-life.ts', import.meta.url));

for (const kernel of KERNEL_SERIES) {
  describe(`a director with kernel ${kernel}`, () => {
    const workDir = mkdtempSync(join(tmpdir(), 'director-'));
    let seen: Seen;

    before(async function () {
      this.timeout(300_000);
      seen = await inOwnNetwork<Seen>(LIFE, [kernel, workDir]);
    });
    after(() => rmSync(workDir, { recursive: true, force: true }));

    it('runs the kernel that was asked for', () => {
      assert.match(seen.release, new RegExp(`^${kernel.replace('.', '\\.')}\\..*-cloud-amd64$`));
    });

    it('forwards, and is set up for IPVS', () => {
      assert.equal(seen.ones, '1\n'.repeat(6));
      assert.equal(seen.zeros, '0\n'.repeat(3));
    });

    it('has its addresses, a default route and a blackhole for the pool, in both families', () => {
      assert.deepEqual(seen.addresses, ['192.0.2.11/24', '2001:db8::11/64']);
      assert.match(seen.defaultRoutes, /^default via 192\.0\.2\.1 .*\ndefault via 2001:db8::1 /);
      assert.match(
        seen.blackholes,
        /^blackhole 203\.0\.113\.0\/24 metric 4294967295 \nblackhole 2001:db8:1::\/64 .*4294967295/,
      );
    });

    it('gives the unprivileged user only what the helper needs', () => {
      assert.equal(
        seen.owners,
        'root 755 /\nipvs-operator 755 /run/ipvs-operator\nroot 644 /etc/ipvs-operator/policy.json\nroot 600 /etc/extra\n',
      );
      assert.equal(seen.capabilities, '/usr/lib/ipvs-operator/ipvs-helper cap_net_admin,cap_net_raw=ep');
    });

    it("starts the helper for the operator's key, whatever it asks for, without root", () => {
      assert.equal(
        seen.process,
        '/usr/lib/ipvs-operator/ipvs-helper serve --owner prod \nUid:\t1000\t1000\t1000\t1000\nCapEff:\t0000000000003000\n',
      );
      assert.equal(seen.hello.type, 'hello');
      assert.equal(seen.hello.owner, 'prod');
    });

    it('tells output, complaint and exit code of a command apart', () => {
      assert.deepEqual(seen.failing, { stdout: 'out\n', stderr: 'err\n', code: 3 });
    });

    it('loses its table, and gets a new boot id, when it is reset', () => {
      assert.deepEqual(
        seen.before.map((entry) => entry.key),
        ['TCP 203.0.113.10:80'],
      );
      assert.deepEqual(seen.afterReset.table, []);
      assert.notEqual(seen.afterReset.boot, seen.first);
    });

    it('answers nothing while frozen, and goes on as the same boot', () => {
      assert.match(seen.whileFrozen, /director-1: .*serial console/s);
      assert.equal(seen.afterThaw, seen.afterReset.boot);
    });

    it('is gone without power, and comes back under the same host key', () => {
      assert.match(seen.whileOff, /director-1: /);
      assert.notEqual(seen.afterPower.boot, seen.afterThaw);
      assert.equal(seen.afterPower.hostKey, true);
    });
  });
}
