import './hooks.ts';
import assert from 'node:assert/strict';
import { untilDescribed } from './described.ts';
import { eventually } from './eventually.ts';
import { tableOf, untilOnDirectors } from './kernel.ts';
import { service } from './manifests.ts';
import { Scene } from './scene.ts';
import { cluster, lab } from './world.ts';

/** What a person reads must agree with the kernels: each sentence is held against ipvsadm. */
describe('kubectl get and describe', function () {
  this.timeout(120_000);
  let scene: Scene;
  let address: string;

  before(async () => {
    scene = await Scene.open('readable');
    await scene.app('web', { replicas: 2 });
    await scene.apply(service({ namespace: scene.namespace, name: 'web' }));
    [address = ''] = await scene.addresses('web', 1);
    await untilOnDirectors(`TCP ${address}:80`, { scheduler: 'mh' });
  });
  after(() => scene.close());

  it('the Service: its address, its pool, the directors that hold it, and its events', async () => {
    const text = await untilDescribed('service', 'web', /EnsuredLoadBalancer/, scene.namespace);
    assert.match(text, new RegExp(`LoadBalancer Ingress: +${address} \\(VIP\\)`));
    assert.match(text, /ip-allocated-from-pool: public/);
    assert.match(text, new RegExp(`Normal +EnsuredLoadBalancer .*Address ${address} from LoadBalancerPool public`));
    const stored = await cluster().get('service', 'web', scene.namespace);
    const conditions = new Map<string, { status: string; message: string; lastTransitionTime: string }>(
      stored.status.conditions.map((condition: { type: string }) => [condition.type, condition]),
    );
    const assigned = conditions.get('ipvs-operator.io/AddressAssigned');
    assert.equal(assigned?.message, `Address ${address} from LoadBalancerPool public.`);
    const programmed = conditions.get('ipvs-operator.io/Programmed');
    assert.equal(programmed?.message, 'Programmed on director director-1 and director-2.');
    for (const { status, lastTransitionTime } of conditions.values()) {
      assert.equal(status, 'True');
      assert.ok(Date.parse(lastTransitionTime) > 0, 'it says since when');
    }
    assert.deepEqual(stored.metadata.finalizers.toSorted(), [
      'ipvs-operator.io/load-balancer-cleanup',
      'service.kubernetes.io/load-balancer-cleanup',
    ]);
  });

  it('the pool: its directors and what each holds, as ipvsadm counts it', async () => {
    await eventually('the numbers of the pool to agree with ipvsadm', async () => {
      const { status } = await cluster().get('lbpool', 'public');
      assert.equal(status.directorsReady, '2/2');
      for (const director of lab().directors) {
        const table = await tableOf(director);
        const reported = status.directors.find(({ name }: { name: string }) => name === director.name);
        assert.equal(reported.virtualServers, table.size, `virtual servers of ${director.name}`);
        const realServers = [...table.values()].reduce((sum, entry) => sum + entry.realServers.length, 0);
        assert.equal(reported.realServers, realServers, `real servers of ${director.name}`);
        assert.ok(reported.ready && Date.parse(reported.lastSyncTime) > 0);
      }
      const [first, second] = status.directors;
      assert.equal(first.tableHash, second.tableHash, 'equal tables have equal hashes');
      return true;
    });
    const text = await cluster().describe('lbpool', 'public');
    assert.match(text, /Served by director director-1 and director-2\./);
    assert.match(text, /Last Transition Time: +20/);
  });

  it('a director: connected, its kernel and boot as the machine itself says', async () => {
    for (const director of lab().directors) {
      const text = await untilDescribed('director', director.name, /Type: +Ready/);
      const kernel = (await director.read('uname -r')).trim();
      const bootId = (await director.read('cat /proc/sys/kernel/random/boot_id')).trim();
      assert.match(text, new RegExp(`Kernel: +${kernel.replaceAll('.', '\\.')}`));
      assert.match(text, new RegExp(`Boot ID: +${bootId}`));
      for (const type of ['Connected', 'Compatible', 'InSync', 'Ready']) {
        assert.match(text, new RegExp(`Status: +True\\n +Type: +${type}`), `${type} of ${director.name}`);
      }
    }
  });

  it('kubectl get shows the columns', async () => {
    const pools = await cluster().kubectl('get', 'lbpool');
    assert.match(pools, /^NAME +READY +DIRECTORS +VIPS +USED +FREE +METHOD +SCHEDULER +AGE\n/);
    assert.match(pools, /\npublic +True +2\/2 +\d+ +\d+ +\d+ +DirectRouting +mh +\S+/);
    assert.match(await cluster().kubectl('get', 'lbpool', '-o', 'wide'), /PAUSED/);
    const directors = await cluster().kubectl('get', 'dir');
    assert.match(directors, /^NAME +READY +ADDRESS +STATE +KERNEL +VIPS +/);
    assert.match(directors, /\ndirector-1 +True +192\.0\.2\.11 +Active +6\.\d+\.\d+\S* +\d+/);
  });

  it('no secret byte is anywhere to read', async () => {
    const secret = (await cluster().list('secrets', 'ipvs-system')).find(
      ({ type }) => type === 'kubernetes.io/ssh-auth',
    );
    const key = Buffer.from(secret.data['ssh-privatekey'], 'base64').toString();
    const lines = key.split('\n').filter((line) => line.length > 20 && !line.startsWith('-----'));
    assert.ok(lines.length > 0);
    const { operator } = await import('./world.ts');
    const shown = [
      operator().log(),
      await cluster().kubectl('get', 'lbpool,dir,svc,events', '-A', '-o', 'yaml'),
      ...(await Promise.all(lab().directors.map((director) => director.read('ps')))),
    ].join('\n');
    for (const line of lines)
      assert.ok(!shown.includes(line), 'a line of the private key is in a log, status or event');
  });
});
