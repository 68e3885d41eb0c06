import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { directorAddresses } from '../lab/addresses.ts';
import { Lab } from '../lab/lab.ts';
import { countByServer, measure } from './measuring.ts';
import { ProgrammedDirector, type WireRealServer } from './programmed-director.ts';
import {
  addRealServer,
  addVip,
  buildAnswering,
  realServerHost,
  removeRealServer,
  startAnswering,
  startAnsweringIn,
  stopAnsweringIn,
} from './real-servers.ts';
import { arrived, CHECKED, openTunnelEnds, type Wrapping } from './tunnel-ends.ts';

type Family = 'v4' | 'v6';

/** One way to a real server. */
interface Path {
  readonly name: string;
  readonly realServer: Omit<WireRealServer, 'address'>;
  /** By the virtual server's family: where to, who answers, and how packets arrive there. */
  readonly to: Readonly<Record<Family, string>>;
  readonly answers: string;
  readonly wrapping?: Readonly<Record<Family, Wrapping>>;
  /** What ipvsadm -Ln calls it, and what ipvsadm -Sn has behind the weight. */
  readonly witness: readonly [forward: string, saved: string];
}

const [director, far] = [directorAddresses(1), directorAddresses(2)];
const [direct, behind] = [realServerHost(1), realServerHost(2, director)];
const tunnel = (type: 'ipip' | 'gue' | 'gre', checksum = false): Omit<WireRealServer, 'address'> => ({
  port: 80,
  forwardingMethod: 'Tunneling',
  tunnel: { type, checksum, ...(type === 'gue' ? { port: 6080 } : {}) },
});
const swapped = { v4: far.v6, v6: far.v4 };
const both = (wrapping: Wrapping) => ({ v4: wrapping, v6: wrapping });

const PATHS: readonly Path[] = [
  {
    name: 'direct routing',
    realServer: { port: 80, forwardingMethod: 'DirectRouting' },
    to: direct,
    answers: direct.name,
    witness: ['Route', '-g -w 1'],
  },
  {
    name: 'masquerading to another port',
    realServer: { port: 8080, forwardingMethod: 'Masquerading' },
    to: behind,
    answers: behind.name,
    witness: ['Masq', '-m -w 1'],
  },
  {
    name: 'the director itself',
    realServer: { port: 80, forwardingMethod: 'Local' },
    to: director,
    answers: 'director-1',
    witness: ['Local', ''],
  },
  {
    name: 'an ipip tunnel',
    realServer: tunnel('ipip'),
    to: far,
    answers: 'director-2',
    wrapping: { v4: 'ipip', v6: 'ip6ip6' },
    witness: ['Tunnel', '-i -w 1 --tun-type ipip'],
  },
  {
    name: 'a gue tunnel',
    realServer: tunnel('gue'),
    to: far,
    answers: 'director-2',
    wrapping: both('gue'),
    witness: ['Tunnel', '-i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum'],
  },
  {
    name: 'a gue tunnel with a checksum',
    realServer: tunnel('gue', true),
    to: far,
    answers: 'director-2',
    wrapping: both('gue'),
    witness: ['Tunnel', '-i -w 1 --tun-type gue --tun-port 6080 --tun-csum'],
  },
  {
    name: 'a gre tunnel',
    realServer: tunnel('gre'),
    to: far,
    answers: 'director-2',
    wrapping: both('gre'),
    witness: ['Tunnel', '-i -w 1 --tun-type gre --tun-nocsum'],
  },
  {
    name: 'a gre tunnel with a checksum',
    realServer: tunnel('gre', true),
    to: CHECKED,
    answers: 'director-2',
    wrapping: both('gre'),
    witness: ['Tunnel', '-i -w 1 --tun-type gre --tun-csum'],
  },
  {
    name: 'a gre tunnel of the other family',
    realServer: tunnel('gre'),
    to: swapped,
    answers: 'director-2',
    wrapping: both('gre'),
    witness: ['Tunnel', '-i -w 1 --tun-type gre --tun-nocsum'],
  },
];

const CLIENT = 'client-director-1';
const REQUESTS = 20;
const MARK = { vip: '203.0.113.39', mark: 7, ports: [8000, 8001] } as const;

function vipOf(path: Path, family: Family): string {
  const number = 40 + PATHS.indexOf(path);
  return family === 'v4' ? `203.0.113.${number}` : `2001:db8:113::${number}`;
}

function endpoint(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

describe('forwarding methods carry real traffic', function () {
  this.timeout(120_000);
  let lab: Lab;
  let programmed: ProgrammedDirector;
  const answering: ChildProcess[] = [];

  before(async () => {
    await buildAnswering();
    lab = await Lab.attach();
    const [first, second] = lab.directors;
    assert.ok(first !== undefined && second !== undefined, 'this suite needs a lab with two directors');
    programmed = await ProgrammedDirector.prepare(first);
    await openTunnelEnds(second, far);
    for (const host of [direct, behind]) await addRealServer(host);
    const vips = (answers: string) =>
      PATHS.filter((path) => path.answers === answers).flatMap((path) => [vipOf(path, 'v4'), vipOf(path, 'v6')]);
    for (const vip of [...vips(direct.name), MARK.vip]) await addVip(direct.name, vip);
    for (const vip of vips(second.name)) {
      await second.read(`ip ${vip.includes(':') ? '-6' : '-4'} address add ${vip} dev lo`);
    }
    for (const path of PATHS) {
      for (const family of ['v4', 'v6'] as const) {
        for (const protocol of ['TCP', 'UDP'] as const) {
          const realServers = [{ ...path.realServer, address: path.to[family] }];
          await programmed.apply({ address: vipOf(path, family), port: 80, protocol, realServers });
        }
      }
    }
    const endpointsAt = (name: string) => ['tcp/[::]:80', ...vips(name).map((vip) => `udp/${endpoint(vip, 80)}`)];
    const marked = MARK.ports.map((port) => `tcp/[::]:${port}`);
    answering.push(await startAnswering(direct.name, [...endpointsAt(direct.name), ...marked]));
    const masqueraded = [`udp/${endpoint(behind.v4, 8080)}`, `udp/${endpoint(behind.v6, 8080)}`, 'tcp/[::]:8080'];
    answering.push(await startAnswering(behind.name, masqueraded));
    for (const machine of [first, second]) await startAnsweringIn(machine, endpointsAt(machine.name));
  });

  after(async () => {
    for (const child of answering) child.kill();
    await programmed?.clear();
    for (const machine of lab?.directors ?? []) await stopAnsweringIn(machine);
    for (const host of [direct, behind]) await removeRealServer(host);
    lab?.close();
  });

  for (const path of PATHS) {
    for (const family of ['v4', 'v6'] as const) {
      for (const protocol of ['TCP', 'UDP'] as const) {
        it(`${protocol} over IP${family} by ${path.name}`, async () => {
          const vip = vipOf(path, family);
          const second = lab.directors[1];
          const wrapping = path.wrapping?.[family];
          const before = wrapping === undefined || second === undefined ? 0 : await arrived(second, wrapping);
          const replies = await measure(CLIENT, { protocol, addresses: [vip], port: 80, each: REQUESTS });
          assert.deepEqual(countByServer(replies, [path.answers]), [REQUESTS]);
          await seenByWitness(programmed, path, protocol, vip, path.to[family]);
          if (wrapping === undefined || second === undefined) return;
          const packets = (await arrived(second, wrapping)) - before;
          assert.ok(packets >= REQUESTS, `${packets} packets arrived wrapped as ${wrapping} for ${REQUESTS} requests`);
        });
      }
    }
  }

  it('a firewall mark is one virtual server for many ports', async () => {
    const { machine } = programmed;
    // How packets with the mark get here is the host's matter: its administrator marks them, and holds the address.
    await machine.read(`ip address add ${MARK.vip} dev lo`);
    await machine.read('nft add table inet marks');
    await machine.read("nft 'add chain inet marks arriving { type filter hook prerouting priority mangle; }'");
    const match = `ip daddr ${MARK.vip} tcp dport { ${MARK.ports.join(', ')} }`;
    await machine.read(`nft 'add rule inet marks arriving ${match} meta mark set ${MARK.mark}'`);
    try {
      const realServers = [{ address: direct.v4, port: 0, forwardingMethod: 'DirectRouting' as const }];
      await programmed.apply({ firewallMark: MARK.mark, family: 'IPv4', realServers });
      for (const port of MARK.ports) {
        const replies = await measure(CLIENT, { protocol: 'TCP', addresses: [MARK.vip], port, each: REQUESTS });
        assert.deepEqual(countByServer(replies, [direct.name]), [REQUESTS]);
      }
      const saved = await machine.read('ipvsadm -Sn');
      assert.match(saved, /^-A -f 7 -s rr *$/m);
      assert.match(saved, new RegExp(`^-a -f 7 -r ${direct.v4}:0 -g -w 1`, 'm'));
    } finally {
      await machine.read(`nft delete table inet marks; ip address del ${MARK.vip}/32 dev lo`);
    }
  });
});

/** ipvsadm(8) shares no code with us: the method is the one we asked for, and the connections went through it. */
async function seenByWitness(
  { machine }: ProgrammedDirector,
  path: Path,
  protocol: 'TCP' | 'UDP',
  vip: string,
  realServer: string,
): Promise<void> {
  const [forward, saved] = path.witness;
  const [service, to] = [endpoint(vip, 80), endpoint(realServer, path.realServer.port)];
  const lines = (await machine.read('ipvsadm -Sn')).split('\n').map((line) => line.trim());
  const option = protocol === 'TCP' ? '-t' : '-u';
  assert.ok(
    lines.some((line) => line.startsWith(`-a ${option} ${service} -r ${to} ${saved}`)),
    `ipvsadm -Sn has no ${option} ${service} -r ${to} ${saved}:\n${lines.join('\n')}`,
  );
  const listing = await machine.read(`ipvsadm -Ln ${option} ${service}`);
  const words =
    listing
      .split('\n')
      .find((each) => each.includes(`-> ${to} `))
      ?.trim()
      .split(/\s+/) ?? [];
  assert.equal(words[2], forward, listing);
  // Active and inactive connections; --stats would follow with the kernel's next estimation only, up to 2 s later.
  // A random source port that comes twice is one UDP connection.
  const connections = Number(words[4]) + Number(words[5]);
  assert.ok(connections >= REQUESTS - 2 && connections <= REQUESTS, listing);
}
