import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { clientAddresses, directorAddresses } from '../lab/addresses.ts';
import { TABLE_OWNER } from '../lab/directors.ts';
import { Lab } from '../lab/lab.ts';
import type { DirectorVm } from '../lab/vm/director-vm.ts';
import { countByServer, measure } from './measuring.ts';
import type { Measurement } from './measuring-client.ts';
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
import { announced, closeTunnelEnds, openTunnelEnds } from './tunnel-ends.ts';

const FAMILIES = ['v4', 'v6'] as const;
const REQUESTS = 2;
/** client-director-1 is inside the range, client is not; both go through director 1. */
const [INSIDE, OUTSIDE] = ['client-director-1', 'client'] as const;
const RESTRICTED = { v4: '203.0.113.30', v6: '2001:db8:113::30' } as const;
/** So long a request waits that shall have no answer; that it was dropped is counted, too. */
const IN_VAIN_MS = 1_500;

const TUNNELS = [
  { name: 'an ipip tunnel', number: 31, tunnel: { type: 'ipip', checksum: false } },
  { name: 'a gue tunnel', number: 32, tunnel: { type: 'gue', port: 6080, checksum: false } },
  { name: 'a gre tunnel', number: 33, tunnel: { type: 'gre', checksum: false } },
] as const;
const CLAMP = 1000;
/** The port without the clamp, which is asked first, and the one with it. */
const [FREE, CLAMPED] = [80, 81] as const;
const TRANSFER = { echoBytes: 300 * 1024, patienceMs: 60_000 } as const;

function vipOf({ number }: (typeof TUNNELS)[number], family: (typeof FAMILIES)[number]): string {
  return family === 'v4' ? `203.0.113.${number}` : `2001:db8:113::${number}`;
}

const tunnelled = FAMILIES.flatMap((family) => TUNNELS.map((tunnel) => vipOf(tunnel, family)));

describe('packet rules in real traffic', function () {
  this.timeout(240_000);
  let lab: Lab;
  let programmed: ProgrammedDirector;
  let end: DirectorVm;
  let answering: ChildProcess;
  const restricted = realServerHost(1);
  const far = directorAddresses(2);

  before(async () => {
    await buildAnswering();
    lab = await Lab.attach();
    const [first, second] = lab.directors;
    assert.ok(first !== undefined && second !== undefined, 'this suite needs a lab with two directors');
    [programmed, end] = [await ProgrammedDirector.prepare(first), second];
    await lab.routeVips([1]);
    await addRealServer(restricted);
    for (const family of FAMILIES) await addVip(restricted.name, RESTRICTED[family]);
    const datagrams = FAMILIES.map((family) => `udp/${endpoint(RESTRICTED[family], 80)}`);
    answering = await startAnswering(restricted.name, ['tcp/[::]:80', ...datagrams]);
    await openTunnelEnds(end, far);
    await addVipsIn(end, tunnelled);
    await startAnsweringIn(
      end,
      [CLAMPED, FREE].map((port) => `tcp/[::]:${port}`),
    );
  });

  after(async () => {
    answering?.kill();
    await programmed?.clear();
    if (end !== undefined) {
      await stopAnsweringIn(end);
      await removeVipsIn(end, tunnelled);
      await closeTunnelEnds(end);
    }
    await removeRealServer(restricted);
    await lab?.routeVips([1, 2]);
    lab?.close();
  });

  /** Packets that the source ranges of a family have dropped. */
  async function dropped(family: (typeof FAMILIES)[number]): Promise<number> {
    const chain = `inet ipvs-operator-${TABLE_OWNER} admit${family === 'v4' ? 4 : 6}`;
    const listing = await programmed.machine.read(`nft list chain ${chain}`);
    const packets = /counter packets (\d+) bytes \d+ drop/.exec(listing)?.[1];
    if (packets === undefined) throw new Error(`no counter of what is dropped in: ${listing}`);
    return Number(packets);
  }

  for (const family of FAMILIES) {
    for (const protocol of ['TCP', 'UDP'] as const) {
      it(`${protocol} over IP${family}: a client inside the source ranges is answered, one outside is not`, async () => {
        const address = RESTRICTED[family];
        const realServers: WireRealServer[] = [
          { address: restricted[family], port: 80, forwardingMethod: 'DirectRouting' },
        ];
        const server = { address, port: 80, protocol, realServers };
        const ask: Measurement = { protocol, addresses: [address], port: 80, each: REQUESTS };
        await programmed.apply(server);
        for (const client of [INSIDE, OUTSIDE]) {
          assert.deepEqual(countByServer(await measure(client, ask), [restricted.name]), [REQUESTS]);
        }
        const range = `${clientAddresses(INSIDE)[family]}/${family === 'v4' ? 32 : 128}`;
        await programmed.apply({ ...server, sourceRanges: [range] });
        assert.deepEqual(countByServer(await measure(INSIDE, ask), [restricted.name]), [REQUESTS]);
        const before = await dropped(family);
        const replies = await measure(OUTSIDE, { ...ask, patienceMs: IN_VAIN_MS });
        assert.deepEqual(
          replies.map(({ answer, error }) => answer ?? error),
          Array.from({ length: REQUESTS }, () => `no answer within ${IN_VAIN_MS} ms`),
        );
        const packets = (await dropped(family)) - before;
        assert.ok(packets >= REQUESTS, `${packets} packets were dropped for ${REQUESTS} requests`);
        await programmed.clear();
      });
    }
  }

  for (const tunnel of TUNNELS) {
    for (const family of FAMILIES) {
      it(`the segment size is clamped over IP${family} before ${tunnel.name}, and a transfer goes through`, async () => {
        const address = vipOf(tunnel, family);
        for (const port of [FREE, CLAMPED]) {
          const to = { address: far[family], port, forwardingMethod: 'Tunneling', tunnel: tunnel.tunnel } as const;
          const clamp = port === CLAMPED ? { mssClamp: CLAMP } : {};
          await programmed.apply({ address, port, protocol: 'TCP', ...clamp, realServers: [to] });
          const replies = await measure(INSIDE, {
            ...{ protocol: 'TCP', addresses: [address], port, each: 1 },
            ...TRANSFER,
          });
          assert.deepEqual(countByServer(replies, [end.name]), [1]);
        }
        assert.deepEqual(await announced(end, address, CLAMPED), [CLAMP]);
        // What the client's own link allows, 1,500 bytes without the headers of IP and TCP. (A later connection to this address
        // announces less, because the transfer has taught the client what the tunnel takes off.)
        assert.deepEqual(await announced(end, address, FREE), [family === 'v4' ? 1460 : 1440]);
      });
    }
  }
});
