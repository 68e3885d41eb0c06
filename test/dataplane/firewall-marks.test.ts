import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { Lab } from '../lab/lab.ts';
import { countByServer, measure } from './measuring.ts';
import { ProgrammedDirector } from './programmed-director.ts';
import {
  addRealServer,
  addVip,
  addVipsIn,
  buildAnswering,
  endpoint,
  realServerHost,
  removeRealServer,
  removeVipsIn,
  startAnswering,
} from './real-servers.ts';

const CLIENT = 'client-director-1';
const REQUESTS = 20;
const PORTS = [8000, 8001] as const;
const REAL_SERVER = realServerHost(1);
/** One mark for each family: what nftables and ipvsadm -Sn call it. */
const MARKS = [
  { family: 'IPv4', mark: 7, vip: '203.0.113.39', to: REAL_SERVER.v4, match: 'ip', saved: '-f 7' },
  { family: 'IPv6', mark: 8, vip: '2001:db8:113::39', to: REAL_SERVER.v6, match: 'ip6', saved: '-f 8 -6' },
] as const;

describe('a firewall mark is one virtual server for many ports and protocols', function () {
  this.timeout(240_000);
  let lab: Lab;
  let programmed: ProgrammedDirector;
  let answering: ChildProcess;

  before(async () => {
    await buildAnswering();
    lab = await Lab.attach();
    const [first] = lab.directors;
    assert.ok(first !== undefined, 'this suite needs a lab with a director');
    programmed = await ProgrammedDirector.prepare(first);
    await addRealServer(REAL_SERVER);
    for (const { vip } of MARKS) await addVip(REAL_SERVER.name, vip);
    const datagrams = MARKS.flatMap(({ vip }) => PORTS.map((port) => `udp/${endpoint(vip, port)}`));
    answering = await startAnswering(REAL_SERVER.name, [...PORTS.map((port) => `tcp/[::]:${port}`), ...datagrams]);
    // How packets with the mark get here is the host's matter: its administrator marks them, and holds the address.
    await first.read('nft add table inet marks');
    await first.read("nft 'add chain inet marks arriving { type filter hook prerouting priority mangle; }'");
    await addVipsIn(
      first,
      MARKS.map(({ vip }) => vip),
    );
    for (const { family, mark, vip, to, match } of MARKS) {
      const ports = `meta l4proto { tcp, udp } th dport { ${PORTS.join(', ')} }`;
      await first.read(`nft 'add rule inet marks arriving ${match} daddr ${vip} ${ports} meta mark set ${mark}'`);
      const realServers = [{ address: to, port: 0, forwardingMethod: 'DirectRouting' as const }];
      await programmed.apply({ firewallMark: mark, family, realServers });
    }
  });

  after(async () => {
    answering?.kill();
    await programmed?.clear();
    await programmed?.machine.read('nft delete table inet marks');
    if (programmed !== undefined)
      await removeVipsIn(
        programmed.machine,
        MARKS.map(({ vip }) => vip),
      );
    await removeRealServer(REAL_SERVER);
    lab?.close();
  });

  for (const { family, vip, to, saved } of MARKS) {
    for (const protocol of ['TCP', 'UDP'] as const) {
      it(`${protocol} over ${family}`, async () => {
        for (const port of PORTS) {
          const replies = await measure(CLIENT, { protocol, addresses: [vip], port, each: REQUESTS });
          assert.deepEqual(countByServer(replies, [REAL_SERVER.name]), [REQUESTS]);
        }
        const lines = (await programmed.machine.read('ipvsadm -Sn')).split('\n').map((line) => line.trim());
        assert.ok(lines.includes(`-A ${saved} -s rr`), lines.join('\n'));
        assert.ok(lines.includes(`-a ${saved} -r ${endpoint(to, 0)} -g -w 1`), lines.join('\n'));
      });
    }
  }
});
