import assert from 'node:assert/strict';
import type { ApplyResult, DirectorSession, DirectorTarget } from '../../../operator/controllers/ports.ts';
import { accepted, applyRequest, keysOf } from './contract-requests.ts';
import { aTarget, dial, dialed } from './dialing.ts';
import { generateKey } from './keys.ts';
import { type PersistentHost, startPersistentHost } from './persistent-host.ts';
import { type Cut, startTcpProxy, type TcpProxy } from './tcp-proxy.ts';
import { TABLES } from './two-tables.ts';

const RANDOM_CUTS = 200;
const DIRECTIONS = ['toHost', 'fromHost'] as const;
type Index = 0 | 1;
const clientKey = generateKey();
let generation = 0;

/** The operator's client, sshd and the helper's session and engine are real; a cut can be anywhere in the bytes of SSH. */
describe(`the SSH stream is cut at ${RANDOM_CUTS} random bytes`, function () {
  this.timeout(300_000);
  let host: PersistentHost;
  let proxy: TcpProxy;
  let target: DirectorTarget;
  /** A session past the proxy, which sees what the others have left. */
  let looking: DirectorSession;
  const hashes = ['', ''];
  const writes = [0, 0];
  let whole: TcpProxy['carried'];

  before(async () => {
    host = await startPersistentHost(clientKey);
    proxy = await startTcpProxy(host.ssh.port);
    const at = { hostKeys: host.ssh.hostKeys, user: host.ssh.user, privateKey: clientKey.privateKey };
    target = aTarget({ ...at, port: proxy.port });
    looking = await dialed(aTarget({ ...at, port: host.ssh.port }));
    await ask(looking, 0);
    for (const index of [1, 0] as const) {
      const session = await dialed(target);
      const { tableHash, writes: written } = accepted(await ask(session, index));
      [hashes[index], writes[index]] = [tableHash, written];
      whole = { ...proxy.carried };
      session.close();
      await session.ended;
    }
    assert.notEqual(hashes[0], hashes[1]);
  });
  after(async () => {
    looking.close();
    await proxy.stop();
    await host.stop();
  });

  function ask(session: DirectorSession, index: Index) {
    generation += 1;
    const virtualServers = TABLES[index];
    return session.apply(applyRequest({ generation, scope: 'all', virtualServers }));
  }

  /** Asks for the table over a stream that is cut; the answer, if it has arrived. */
  async function askAndCut(cut: Cut, index: Index): Promise<ApplyResult | undefined> {
    proxy.cut = cut;
    const result = await dial(target);
    if (!result.ok) return undefined;
    const answer = await ask(result.session, index);
    result.session.close();
    await result.session.ended;
    return answer.kind === 'broken' ? undefined : accepted(answer);
  }

  it('a request is carried out whole or has not begun; the next one converges, and writes nothing that is there', async () => {
    let holds: Index = 0;
    let [begun, answered] = [0, 0];
    for (let number = 0; number < RANDOM_CUTS; number++) {
      const wanted: Index = holds === 0 ? 1 : 0;
      const direction = DIRECTIONS[number % 2 === 0 ? 0 : 1];
      const cut: Cut = { direction, bytes: Math.floor(Math.random() * whole[direction]), effect: 'close' };
      const answer = await askAndCut(cut, wanted);
      await host.settled(1);
      const { tableHash } = await keysOf(looking);
      const where = `after ${JSON.stringify(cut)}`;
      assert.ok(hashes.includes(tableHash), `${where} the host holds neither table`);
      if (answer !== undefined) assert.deepEqual([answer.writes, tableHash], [writes[wanted], hashes[wanted]], where);
      const carriedOut: boolean = tableHash === hashes[wanted];
      const next: ApplyResult = accepted(await ask(looking, wanted));
      assert.deepEqual([next.errors, next.failed, next.tableHash], [[], [], hashes[wanted]], where);
      assert.equal(next.writes, carriedOut ? 0 : writes[wanted], where);
      begun += carriedOut ? 1 : 0;
      answered += answer === undefined ? 0 : 1;
      holds = wanted;
    }
    // Cuts were behind the request and before its answer, too; otherwise this shows nothing.
    assert.ok(begun > answered && begun < RANDOM_CUTS, `${begun} requests carried out, ${answered} answered`);
  });
});
