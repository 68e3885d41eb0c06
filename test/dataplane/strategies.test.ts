import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { Lab } from '../lab/lab.ts';
import { mustRun } from '../lab/run-program.ts';
import { countByServer, Measuring, measure, serverOf } from './measuring.ts';
import type { Measurement } from './measuring-client.ts';
import { ProgrammedDirector, type WireRealServer, type WireVirtualServer } from './programmed-director.ts';
import {
  addRealServer,
  addVip,
  buildAnswering,
  realServerHost,
  removeRealServer,
  startAnswering,
} from './real-servers.ts';

const CLIENT = 'client';
const VIP = '203.0.113.60';
/** Virtual servers of a firewall mark see many destinations: what dh, lblc and lblcr tell apart. */
const DESTINATIONS = { prefix: '203.0.113.128/26', firstMark: 9 } as const;
const destinations = Array.from({ length: 60 }, (_, i) => `203.0.113.${130 + i}`);
/** Sixty clients, as addresses of one namespace. */
const clients = Array.from({ length: 60 }, (_, i) => `198.51.100.${130 + i}`);
const hosts = [1, 2, 3].map((number) => realServerHost(number));
const names = hosts.map(({ name }) => name);
const CONNECTIONS = 300;
const FIRST_PORT = 1000;
const LAST_PORT = 1040;
let port = FIRST_PORT;

/** A port that no earlier case has left connections on. */
function freshPort(): number {
  port += 1;
  assert.ok(port <= LAST_PORT, 'the real servers listen on no more ports');
  return port;
}

function realServers(at: number, weights: readonly number[]): WireRealServer[] {
  return weights.map((weight, i) => ({
    address: hosts[i]?.v4 ?? '',
    port: at,
    forwardingMethod: 'DirectRouting',
    weight,
  }));
}

function virtualServer(
  at: number,
  scheduler: string,
  weights: readonly number[],
  more: object = {},
): WireVirtualServer {
  return { address: VIP, port: at, protocol: 'TCP', scheduler, realServers: realServers(at, weights), ...more };
}

/** With MEASUREMENTS=FILE each result is also a line of the table in docs/strategies.md. */
function note(strategy: string, load: string, result: string): void {
  const file = process.env.MEASUREMENTS;
  if (file !== undefined) appendFileSync(file, `| ${strategy} | ${load} | ${result} |\n`);
}

function perServer(counts: readonly number[]): string {
  return counts.join(' / ');
}

/** Each count at most `by` from what is expected. */
function near(counts: readonly number[], expected: readonly number[], by: number): void {
  const far = counts.some((count, i) => Math.abs(count - (expected[i] ?? Number.NaN)) > by);
  assert.ok(!far, `${perServer(counts)} is not ${perServer(expected)} ± ${by}`);
}

/** How many of those served by servers that stay are served by another one than before. */
function moved(before: ReadonlyMap<string, string>, now: ReadonlyMap<string, string>, gone: string): number {
  return [...before].filter(([key, server]) => server !== gone && now.get(key) !== server).length;
}

function share(map: ReadonlyMap<string, string>): number[] {
  return names.map((name) => [...map.values()].filter((server) => server === name).length);
}

describe('each strategy spreads as its definition says', function () {
  this.timeout(180_000);
  let lab: Lab;
  let first: ProgrammedDirector;
  let second: ProgrammedDirector;
  const answering: ChildProcess[] = [];

  const one = (at: number, more: Partial<Measurement> = {}): Measurement => ({
    ...{ protocol: 'TCP', addresses: [VIP], port: at, sources: ['198.51.100.10'], each: CONNECTIONS },
    ...more,
  });
  const many = (at: number): Measurement => one(at, { sources: clients, each: 5 });
  const toMany = (at: number): Measurement => one(at, { addresses: destinations, each: 5 });

  before(async () => {
    await buildAnswering();
    lab = await Lab.attach();
    const [machine1, machine2] = lab.directors;
    assert.ok(machine1 !== undefined && machine2 !== undefined, 'this suite needs a lab with two directors');
    [first, second] = [await ProgrammedDirector.prepare(machine1), await ProgrammedDirector.prepare(machine2)];
    await lab.routeVips([1]);
    await mustRun('ip', ['route', 'add', '198.51.100.128/26', 'dev', 'client0']);
    for (const client of clients) {
      await mustRun('ip', ['netns', 'exec', CLIENT, 'ip', 'address', 'add', `${client}/32`, 'dev', 'eth0']);
    }
    for (const host of hosts) {
      await addRealServer(host);
      await addVip(host.name, VIP);
      await addVip(host.name, DESTINATIONS.prefix);
      const udp = `udp/${VIP}:${FIRST_PORT}-${LAST_PORT}`;
      answering.push(await startAnswering(host.name, [`tcp/[::]:${FIRST_PORT}-${LAST_PORT}`, udp]));
    }
    await machine1.read(`ip route add local ${DESTINATIONS.prefix} dev lo`);
    await machine1.read('nft add table inet destinations');
    await machine1.read("nft 'add chain inet destinations arriving { type filter hook prerouting priority mangle; }'");
  });

  after(async () => {
    for (const child of answering) child.kill();
    await first?.clear();
    await second?.clear();
    const machine = first?.machine;
    await machine?.read(`nft delete table inet destinations; ip route del local ${DESTINATIONS.prefix} dev lo`);
    for (const host of hosts) await removeRealServer(host);
    await mustRun('ip', ['route', 'delete', '198.51.100.128/26', 'dev', 'client0']);
    for (const client of clients) {
      await mustRun('ip', ['netns', 'exec', CLIENT, 'ip', 'address', 'delete', `${client}/32`, 'dev', 'eth0']);
    }
    await lab?.routeVips([1, 2]);
    lab?.close();
  });

  it('rr: one after the other', async () => {
    const at = freshPort();
    await first.apply(virtualServer(at, 'rr', [1, 5, 1]));
    const replies = await measure(CLIENT, one(at));
    const counts = countByServer(replies, names);
    note('`rr`', '300 connections, weights 1/5/1', perServer(counts));
    assert.deepEqual(counts, [100, 100, 100]);
    const inTurn = replies.every(({ answer }, i) => answer !== replies[i + 1]?.answer);
    assert.ok(inTurn, 'a server got two connections in a row');
  });

  it('wrr: in turn, by weight', async () => {
    const at = freshPort();
    await first.apply(virtualServer(at, 'wrr', [1, 2, 3]));
    const counts = countByServer(await measure(CLIENT, one(at)), names);
    note('`wrr`', '300 connections, weights 1/2/3', perServer(counts));
    near(counts, [50, 100, 150], 1);
  });

  it('rr with one-packet scheduling: each datagram of one flow', async () => {
    const at = freshPort();
    const servers = realServers(at, [1, 1, 1]);
    const server = { address: VIP, port: at, protocol: 'UDP' as const, scheduler: 'rr', realServers: servers };
    await first.apply({ ...server, onePacket: true });
    const flow = one(at, { protocol: 'UDP', hold: true });
    const counts = countByServer(await measure(CLIENT, flow), names);
    note('`rr`, one packet', '300 datagrams of one UDP flow', perServer(counts));
    assert.deepEqual(counts, [100, 100, 100]);
    const other = freshPort();
    await first.apply({ ...server, port: other, realServers: realServers(other, [1, 1, 1]) });
    const stuck = countByServer(await measure(CLIENT, { ...flow, port: other }), names);
    note('`rr`', '300 datagrams of one UDP flow', perServer(stuck));
    assert.equal(Math.max(...stuck), CONNECTIONS, 'without it a flow stays with its server');
  });

  it('persistence: a client stays, whatever the scheduler', async () => {
    const at = freshPort();
    const persistence = { timeoutSeconds: 300, prefixLength: 32 };
    await first.apply(virtualServer(at, 'rr', [1, 1, 1], { persistence }));
    const servers = serverOf(await measure(CLIENT, many(at)), 'source');
    note('`rr`, persistence', '60 clients × 5 connections', `${perServer(share(servers))} clients; each stays`);
    near(share(servers), [20, 20, 20], 1);
    const networks = freshPort();
    const byNetwork = { persistence: { ...persistence, prefixLength: 24 } };
    await first.apply(virtualServer(networks, 'rr', [1, 1, 1], byNetwork));
    const network = share(serverOf(await measure(CLIENT, many(networks)), 'source'));
    note('`rr`, persistence per /24', '60 clients of one /24 × 5 connections', `${perServer(network)} clients`);
    assert.equal(Math.max(...network), clients.length, 'a whole network stays with one server');
  });

  for (const [scheduler, weights, expected] of [
    ['lc', [1, 5, 1], [100, 100, 100]],
    ['wlc', [1, 2, 3], [50, 100, 150]],
    ['sed', [1, 2, 3], [50, 100, 150]],
    ['nq', [1, 2, 3], [50, 100, 150]],
  ] as const) {
    it(`${scheduler}: by connections that are open${scheduler === 'lc' ? '' : ', and weight'}`, async () => {
      const at = freshPort();
      await first.apply(virtualServer(at, scheduler, weights));
      const { client, replies } = await Measuring.start(CLIENT, one(at, { hold: true }));
      try {
        const counts = countByServer(replies, names);
        near(counts, expected, 2);
        // The first server's connections end: what comes next is its, until it has as many as the others.
        const closed = await client.close('rs1');
        assert.equal(closed, counts[0]);
        const next = countByServer(await client.more(one(at, { hold: true, each: 40 })), names);
        const load = `300 connections held, weights ${weights.join('/')}; then rs1's end, and 40 more`;
        note(`\`${scheduler}\``, load, `${perServer(counts)}; then ${perServer(next)}`);
        assert.ok((next[0] ?? 0) >= 38, `rs1 is idle and gets ${next[0]} of 40`);
      } finally {
        await client.end();
      }
    });
  }

  it('nq begins with every idle server, sed with the fastest', async () => {
    const firstThree = async (scheduler: string) => {
      const at = freshPort();
      await first.apply(virtualServer(at, scheduler, [1, 2, 5]));
      const { client, replies } = await Measuring.start(CLIENT, one(at, { hold: true, each: 3 }));
      await client.end();
      return replies.map(({ answer }) => answer ?? '');
    };
    const [sed, nq] = [await firstThree('sed'), await firstThree('nq')];
    note('`sed`', 'the first 3 connections, weights 1/2/5', sed.join(', '));
    note('`nq`', 'the first 3 connections, weights 1/2/5', nq.join(', '));
    assert.ok(!sed.includes('rs1'), 'rs1, at weight 1, is not the shortest wait for the first three');
    assert.deepEqual(nq.toSorted(), names);
  });

  it('thresholds: a server above its upper threshold gets nothing new', async () => {
    const at = freshPort();
    const limited = realServers(at, [1, 1, 1]).map((each, i) =>
      i === 0 ? { ...each, upperThreshold: 20, lowerThreshold: 10 } : each,
    );
    await first.apply(virtualServer(at, 'lc', [1, 1, 1], { realServers: limited }));
    const { client, replies } = await Measuring.start(CLIENT, one(at, { hold: true }));
    await client.end();
    const counts = countByServer(replies, names);
    note('`lc`, upper threshold 20 on rs1', '300 connections held', perServer(counts));
    near(counts, [20, 140, 140], 2);
  });

  for (const scheduler of ['sh', 'mh'] as const) {
    const flags = (name: string) => ({ schedulerFlags: [`${scheduler}-${name}`] });

    it(`${scheduler}: a client stays with its server, on every director`, async () => {
      const at = freshPort();
      const three = virtualServer(at, scheduler, [1, 1, 1]);
      await first.apply(three);
      await second.apply(three);
      const before = serverOf(await measure(CLIENT, many(at)), 'source');
      assert.ok(Math.min(...share(before)) >= 8, `${perServer(share(before))} of 60 clients`);
      await lab.routeVips([2]);
      const elsewhere = serverOf(await measure(CLIENT, many(at)), 'source');
      await lab.routeVips([1]);
      const different = moved(before, elsewhere, '');
      note(`\`${scheduler}\``, '60 clients × 5 connections', `${perServer(share(before))} clients; each stays`);
      note(
        `\`${scheduler}\`, second director`,
        'the same 60 clients',
        `${different} of 60 are served by another server`,
      );
      assert.equal(different, 0);
      // A server leaves: who else has to move?
      await first.apply(virtualServer(at, scheduler, [1, 1]));
      const after = serverOf(await measure(CLIENT, many(at)), 'source');
      const stayed = [...before.values()].filter((server) => server !== 'rs3').length;
      const disrupted = moved(before, after, 'rs3');
      note(
        `\`${scheduler}\`, rs3 removed`,
        '60 clients',
        `${disrupted} of the ${stayed} clients of rs1 and rs2 move, too`,
      );
      if (scheduler === 'mh') assert.ok(disrupted * 10 <= stayed, `${disrupted} of ${stayed} clients moved needlessly`);
      else assert.ok(disrupted > 0, 'sh fills its table anew: others move as well');
    });

    it(`${scheduler}: with ${scheduler}-port each connection for itself`, async () => {
      const at = freshPort();
      await first.apply(virtualServer(at, scheduler, [1, 1, 1], flags('port')));
      const counts = countByServer(await measure(CLIENT, one(at)), names);
      note(`\`${scheduler}\`, ${scheduler}-port`, '300 connections of one client', perServer(counts));
      near(counts, [100, 100, 100], 40);
    });

    it(`${scheduler}: a server at weight 0 refuses its clients, but with ${scheduler}-fallback`, async () => {
      const at = freshPort();
      await first.apply(virtualServer(at, scheduler, [1, 1, 1]));
      const before = serverOf(await measure(CLIENT, many(at)), 'source');
      await first.apply(virtualServer(at, scheduler, [1, 1, 0]));
      const without = serverOf(await measure(CLIENT, many(at)), 'source');
      const refused = [...without.values()].filter((server) => server === 'error: ECONNREFUSED').length;
      note(
        `\`${scheduler}\`, rs3 at weight 0`,
        '60 clients',
        `${perServer(share(without))} clients; ${refused} are refused`,
      );
      assert.equal(refused, share(before)[2], 'exactly the clients of rs3 are refused');
      await first.apply(virtualServer(at, scheduler, [1, 1, 0], flags('fallback')));
      const after = serverOf(await measure(CLIENT, many(at)), 'source');
      const disrupted = moved(before, after, 'rs3');
      const stayed = [...before.values()].filter((server) => server !== 'rs3').length;
      const result = `${perServer(share(after))} clients; ${disrupted} of the ${stayed} of rs1 and rs2 move`;
      note(`\`${scheduler}\`, ${scheduler}-fallback, rs3 at weight 0`, '60 clients', result);
      assert.equal(share(after)[2], 0);
      assert.equal([...after.values()].filter((server) => server.startsWith('error')).length, 0);
    });
  }

  for (const [i, scheduler] of ['dh', 'lblc', 'lblcr'].entries()) {
    it(`${scheduler}: a destination stays with its server`, async () => {
      const [at, mark] = [freshPort(), DESTINATIONS.firstMark + i];
      const match = `ip daddr ${DESTINATIONS.prefix} tcp dport ${at}`;
      await first.machine.read(`nft 'add rule inet destinations arriving ${match} meta mark set ${mark}'`);
      await first.apply({ firewallMark: mark, family: 'IPv4', scheduler, realServers: realServers(0, [50, 50, 50]) });
      const destined = serverOf(await measure(CLIENT, toMany(at)), 'address');
      note(
        `\`${scheduler}\``,
        '60 destinations × 5 connections',
        `${perServer(share(destined))} destinations; each stays`,
      );
      assert.ok(Math.min(...share(destined)) >= 8, `${perServer(share(destined))} of 60 destinations`);
    });
  }

  it('fo: all to the heaviest, the next one when it is out', async () => {
    const at = freshPort();
    await first.apply(virtualServer(at, 'fo', [3, 2, 1]));
    const counts = countByServer(await measure(CLIENT, one(at)), names);
    assert.deepEqual(counts, [CONNECTIONS, 0, 0]);
    await first.apply(virtualServer(at, 'fo', [0, 2, 1]));
    const next = countByServer(await measure(CLIENT, one(at)), names);
    note(
      '`fo`',
      '300 connections, weights 3/2/1; then 300 with 0/2/1',
      `${perServer(counts)}; then ${perServer(next)}`,
    );
    assert.deepEqual(next, [0, CONNECTIONS, 0]);
  });

  it('ovf: the heaviest until it holds its weight, then the next', async () => {
    const at = freshPort();
    await first.apply(virtualServer(at, 'ovf', [150, 100, 80]));
    const { client, replies } = await Measuring.start(CLIENT, one(at, { hold: true }));
    await client.end();
    const counts = countByServer(replies, names);
    note('`ovf`', '300 connections held, weights 150/100/80', perServer(counts));
    near(counts, [150, 100, 50], 2);
  });

  it('twos: the better of two at random, where the kernel has it; else the refusal says what to do', async () => {
    const at = freshPort();
    const answer = await first.tryApply(virtualServer(at, 'twos', [1, 1, 1]));
    const module = await first.machine.read("find /lib/modules -name 'ip_vs_twos.ko*'");
    if (module === '') {
      const { errors, failed } = answer;
      assert.deepEqual(
        errors.map((error) => [error.class, error.object]),
        [['permanent', `TCP ${VIP}:${at}`]],
      );
      assert.match(
        errors[0]?.message ?? '',
        /: the director's kernel cannot load scheduler twos: load its module \(modprobe ip_vs_twos\) or choose another scheduler$/,
      );
      assert.doesNotMatch(await first.machine.read('ipvsadm -Sn'), new RegExp(`${VIP}:${at} `));
      assert.deepEqual(failed, [{ address: VIP, port: at, protocol: 'TCP' }]);
      return;
    }
    assert.deepEqual(answer.errors, []);
    const { client, replies } = await Measuring.start(CLIENT, one(at, { hold: true }));
    await client.end();
    const counts = countByServer(replies, names);
    note('`twos`', '300 connections held', perServer(counts));
    near(counts, [100, 100, 100], 15);
  });

  // Behind all others: mh hashes the real servers' port as well, and a port more before it would change what is measured of it.
  for (const scheduler of ['sh', 'mh'] as const) {
    it(`${scheduler}: by weight`, async () => {
      const at = freshPort();
      await first.apply(virtualServer(at, scheduler, [1, 1, 4], { schedulerFlags: [`${scheduler}-port`] }));
      const counts = countByServer(await measure(CLIENT, one(at)), names);
      note(`\`${scheduler}\`, ${scheduler}-port`, '300 connections of one client, weights 1/1/4', perServer(counts));
      near(counts, [50, 50, 200], 40);
    });
  }
});
