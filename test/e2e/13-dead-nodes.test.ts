import './hooks.ts';
import assert from 'node:assert/strict';
import { eventually } from './eventually.ts';
import { tableOf, untilOnDirectors } from './kernel.ts';
import { pool, service } from './manifests.ts';
import { directRouting, type LabNode, nodeNamed } from './nodes.ts';
import { Scene } from './scene.ts';
import { cluster, lab } from './world.ts';

const EXCLUDE = 'node.kubernetes.io/exclude-from-external-load-balancers';
const OUT_OF_SERVICE = 'node.kubernetes.io/out-of-service';
const ADDRESS = '203.0.113.160';
const KEY = `TCP ${ADDRESS}:80`;
const URL = `http://${ADDRESS}/hostname`;
const CLIENT = 'client-director-1';
/** The kernel's choice for clients that persistence binds to a real server at weight 0; 1 sends their next connection elsewhere. */
const QUIESCENT = 'net.ipv4.vs.expire_quiescent_template';

/** Two nodes of its own, which nobody needs: with sessionAffinity, and a drain that outlasts the test. */
describe('a node that dies', function () {
  this.timeout(300_000);
  let scene: Scene;
  const nodes = [nodeNamed('node3'), nodeNamed('node4')];

  before(async function () {
    this.timeout(300_000);
    scene = await Scene.open('dead-nodes');
    const home = await lab().nodes();
    for (const { name } of nodes) await lab().addNode(name);
    for (const director of lab().directors) await director.read(`sysctl -w ${QUIESCENT}=0`);
    const names = nodes.map(({ name }) => name);
    const nodeSelector = { matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: names }] };
    await scene.apply(pool('mortal', { addresses: [ADDRESS], nodeSelector, drain: { timeout: '10m' } }));
    await scene.app('web', { replicas: 2, nodes: home });
    const spec = { sessionAffinity: 'ClientIP' };
    await scene.apply(service({ namespace: scene.namespace, name: 'web', pool: 'mortal', spec }));
    await untilOnDirectors(KEY, { realServers: directRouting(nodes), draining: [] });
  });
  after(async function () {
    this.timeout(120_000);
    for (const director of lab().directors) await director.read(`sysctl -w ${QUIESCENT}=1`);
    await scene.close();
    for (const { name } of nodes) await cluster().kubectl('delete', 'node', name, '--ignore-not-found');
    for (const name of await lab().nodes()) if (nodes.some((node) => node.name === name)) await lab().crashNode(name);
  });

  it('is no other than one that leaves alive until then: that one drains and keeps its clients', async () => {
    const { leaving, staying } = await boundTo();
    await cluster().kubectl('label', 'node', leaving.name, `${EXCLUDE}=true`);
    try {
      await untilOnDirectors(KEY, { realServers: directRouting([staying]) });
      assert.deepEqual(await drainingOnFirst(), [`${leaving.address}:80`]);
      assert.equal((await boundTo()).leaving, leaving, 'the client stays with it');
    } finally {
      await cluster().kubectl('label', 'node', leaving.name, `${EXCLUDE}-`);
    }
    await untilOnDirectors(KEY, { realServers: directRouting(nodes), draining: [] });
  });

  it('stays while it is only silent, leaves at once with its Node, and its client is served by another', async () => {
    const { leaving, staying } = await boundTo();
    await lab().crashNode(leaving.name);
    await eventually(
      `${leaving.name} to be silent for the control plane`,
      async () => {
        const { status } = await cluster().get('node', leaving.name);
        const ready = status.conditions.find(({ type }: { type: string }) => type === 'Ready');
        return ready.status === 'Unknown';
      },
      { timeoutMs: 150_000 },
    );
    await untilOnDirectors(KEY, { realServers: directRouting(nodes), draining: [] });
    await cluster().kubectl('delete', 'node', leaving.name);
    await untilOnDirectors(KEY, { realServers: directRouting([staying]), draining: [] });
    assert.equal((await boundTo()).leaving, staying);
  });

  it('goes at once when it is declared out of service while it drains', async () => {
    const { leaving } = await boundTo();
    await cluster().kubectl('label', 'node', leaving.name, `${EXCLUDE}=true`);
    await untilOnDirectors(KEY, { realServers: [] });
    assert.deepEqual(await drainingOnFirst(), [`${leaving.address}:80`]);
    await cluster().kubectl('taint', 'node', leaving.name, `${OUT_OF_SERVICE}=nodeshutdown:NoExecute`);
    await untilOnDirectors(KEY, { realServers: [], draining: [] });
  });

  /** The node that persistence binds the client to, after a request that must be answered, and the other one. */
  async function boundTo(): Promise<{ readonly leaving: LabNode; readonly staying: LabNode }> {
    await eventually(`an answer to ${CLIENT}`, async () => {
      const { status, error } = await lab().client(CLIENT).get(URL);
      assert.equal(status, 200, error);
      return true;
    });
    const [director] = lab().directors;
    const listing = (await director?.read('ipvsadm -Lcn')) ?? '';
    // A template has port 0 on the client's side.
    const template = listing.split('\n').find((line) => line.includes(':0 ') && line.includes(` ${ADDRESS}:80 `));
    const bound = nodes.find(({ address }) => template?.trimEnd().endsWith(` ${address}:80`));
    const other = nodes.find((node) => node !== bound);
    assert.ok(bound && other, `no template binds the client:\n${listing}`);
    return { leaving: bound, staying: other };
  }
});

/** What drains on director 1, where the client is bound. */
async function drainingOnFirst(): Promise<readonly string[] | undefined> {
  const [director] = lab().directors;
  assert.ok(director);
  return (await tableOf(director)).get(KEY)?.draining;
}
