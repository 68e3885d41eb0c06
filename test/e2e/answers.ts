import assert from 'node:assert/strict';
import { eventually, type Patience } from './eventually.ts';
import { lab } from './world.ts';

export type ClientName = 'client' | 'client-director-1' | 'client-director-2';

/** The ways into the cluster: the router spreads the first client over both directors and sends the others by one each. */
export const PATHS: readonly (readonly [string, ClientName])[] = [
  ['by way of either director', 'client'],
  ['by way of director 1', 'client-director-1'],
  ['by way of director 2', 'client-director-2'],
];

/** Asks so many times over TCP; every request must be answered. Gives back the names of the pods that answered. */
export async function answersOver(client: ClientName, host: string, requests: number): Promise<Set<string>> {
  const pods = new Set<string>();
  for (let n = 0; n < requests; n += 1) pods.add(await hostname('TCP', client, host));
  return pods;
}

/**
 * Asks until a long run of requests, without one failure in between, was answered by exactly so many pods; gives back their names.
 * What happens before does not count: kube-proxy on the nodes hears of a new address and of ended pods a moment after the API server.
 *
 * @param host `address`, `address:port` (IPv4) or `[address]:port` (IPv6); port 80 when none is given.
 */
export async function answeringPods(
  protocol: 'TCP' | 'UDP',
  client: ClientName,
  host: string,
  count: number,
  options?: Patience,
): Promise<Set<string>> {
  const runLength = 4 + 4 * count;
  let run: string[] = [];
  return eventually(
    `${runLength} answers in a row to ${client} at ${protocol} ${host}, from ${count} pods`,
    async () => {
      try {
        run = [...run.slice(1 - runLength), await hostname(protocol, client, host)];
      } catch (cause) {
        run = [];
        throw cause;
      }
      const pods = new Set(run);
      assert.equal(run.length, runLength, `${run.length} so far, from ${[...pods].join(', ')}`);
      assert.equal(pods.size, count, `they came from ${[...pods].join(', ')}`);
      return pods;
    },
    { everyMs: 10, ...options },
  );
}

/** Waits until clients get no answer any more, by every way, twice in a row. */
export async function untilClosed(address: string, port: number): Promise<void> {
  const closed = async (client: ClientName) => {
    for (let n = 0; n < 2; n += 1) {
      const answer = hostname('TCP', client, authority(address, port), 1000);
      await assert.rejects(answer, `${address}:${port} answers`);
    }
    return true;
  };
  await Promise.all(
    PATHS.map(([path, client]) =>
      eventually(`TCP ${address}:${port} to be closed for clients ${path}`, () => closed(client)),
    ),
  );
}

/** Asks once over a new connection; the name of the pod that answered. Rejects when there is no answer. */
export async function hostname(
  protocol: 'TCP' | 'UDP',
  client: ClientName,
  host: string,
  timeoutMs = 5000,
): Promise<string> {
  const { address, port } = parseHost(host);
  const from = lab().client(client);
  if (protocol === 'UDP') return (await from.udp(address, port, 'hostname', { timeoutMs })).trim();
  const url = `http://${authority(address, port)}/hostname`;
  const { status, body, error } = await from.get(url, { timeoutMs });
  assert.equal(status, 200, `${url}: ${error ?? `status ${status}`}`);
  return body.trim();
}

/** `address:port`, an IPv6 address in brackets: as in a URL, and as ipvsadm writes it. */
export function authority(address: string, port: number | string): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function parseHost(host: string): { address: string; port: number } {
  const bracketed = /^\[(.+)\]:(\d+)$/.exec(host);
  if (bracketed !== null) return { address: bracketed[1] ?? '', port: Number(bracketed[2]) };
  const isIpv6 = host.split(':').length > 2;
  if (isIpv6 || !host.includes(':')) return { address: host, port: 80 };
  const [address = '', port] = host.split(':');
  return { address, port: Number(port) };
}
