import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { directorAddresses } from '../lab/addresses.ts';
import { Lab } from '../lab/lab.ts';
import { countByServer, measure } from './measuring.ts';
import { ProgrammedDirector, type WireRealServer } from './programmed-director.ts';
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
  startAnsweringIn,
  stopAnsweringIn,
} from './real-servers.ts';
import { arrived, CHECKED, closeTunnelEnds, MISTAKEN, openTunnelEnds, type Wrapping } from './tunnel-ends.ts';

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
  tunnel: { type, checksum, ...(type === 'gue' ? { port: checksum ? 6081 : 6080 } : {}) },
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
    wrapping: both('gue, checked'),
    witness: ['Tunnel', '-i -w 1 --tun-type gue --tun-port 6081 --tun-csum'],
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
    name: 'an ipip tunnel of the other family',
    realServer: tunnel('ipip'),
    to: swapped,
    answers: 'director-2',
    wrapping: { v4: 'IPv4 in IPv6', v6: 'IPv6 in IPv4' },
    witness: ['Tunnel', '-i -w 1 --tun-type ipip'],
  },
  {
    name: 'a gue tunnel of the other family',
    realServer: tunnel('gue'),
    to: swapped,
    answers: 'director-2',
    wrapping: both('gue'),
    witness: ['Tunnel', '-i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum'],
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

function vipOf(path: Path, family: Family): string {
  const number = 40 + PATHS.indexOf(path);
  return family === 'v4' ? `203.0.113.${number}` : `2001:db8:113::${number}`;
}

/** Of all paths on which this one answers. */
function vipsAt(answers: string): string[] {
  return PATHS.filter((path) => path.answers === answers).flatMap((path) => [vipOf(path, 'v4'), vipOf(path, 'v6')]);
}

describe('forwarding methods carry real traffic', function () {
  this.timeout(240_000);
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
    for (const vip of vipsAt(direct.name)) await addVip(direct.name, vip);
    await addVipsIn(second, vipsAt(second.name));
    const virtualServers = PATHS.flatMap((path) =>
      (['v4', 'v6'] as const).flatMap((family) =>
        (['TCP', 'UDP'] as const).map((protocol) => {
          const realServers = [{ ...path.realServer, address: path.to[family] }];
          return { address: vipOf(path, family), port: 80, protocol, realServers };
        }),
      ),
    );
    await programmed.apply(...virtualServers);
    const endpointsAt = (name: string) => ['tcp/[::]:80', ...vipsAt(name).map((vip) => `udp/${endpoint(vip, 80)}`)];
    answering.push(await startAnswering(direct.name, endpointsAt(direct.name)));
    const masqueraded = [`udp/${endpoint(behind.v4, 8080)}`, `udp/${endpoint(behind.v6, 8080)}`, 'tcp/[::]:8080'];
    answering.push(await startAnswering(behind.name, masqueraded));
    for (const machine of [first, second]) await startAnsweringIn(machine, endpointsAt(machine.name));
  });

  after(async () => {
    for (const child of answering) child.kill();
    await programmed?.clear();
    for (const machine of lab?.directors ?? []) await stopAnsweringIn(machine);
    const second = lab?.directors[1];
    if (second !== undefined) {
      await removeVipsIn(second, vipsAt(second.name));
      await closeTunnelEnds(second);
    }
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
          const before = wrapping === undefined || second === undefined ? 0 : (await arrived(second))[wrapping];
          const replies = await measure(CLIENT, { protocol, addresses: [vip], port: 80, each: REQUESTS });
          assert.deepEqual(countByServer(replies, [path.answers]), [REQUESTS]);
          await seenByWitness(programmed, path, protocol, vip, path.to[family]);
          if (wrapping === undefined || second === undefined) return;
          const now = await arrived(second);
          const packets = now[wrapping] - before;
          assert.ok(packets >= REQUESTS, `${packets} packets arrived wrapped as ${wrapping} for ${REQUESTS} requests`);
          const mistaken = MISTAKEN[wrapping];
          if (mistaken !== undefined) assert.equal(now[mistaken], 0, `packets arrived wrapped as ${mistaken}`);
        });
      }
    }
  }
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
