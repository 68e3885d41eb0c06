import assert from 'node:assert/strict';
import { type Departures, hasDeath, tellGone } from '../../../operator/core/departures.ts';
import type { VirtualServer } from '../../../operator/model/virtual-server.ts';
import { aRealServer, aVirtualServer } from '../../builders/a-virtual-server.ts';
import { aGroup } from '../../builders/pods.ts';

/** One virtual server that drains for 30 s; real servers by the last number of their address. */
const serving = (...hosts: readonly number[]): readonly VirtualServer[] => [
  aVirtualServer({
    drainSeconds: 30,
    realServers: hosts.map((host) => aRealServer({ address: `192.0.2.${host}` })),
  }),
];
const deaths = (...dead: readonly string[]) => ({
  hasNode: (name: string) => dead.includes(name),
  hasAddress: (address: string) => dead.includes(address),
});
const told = ({ virtualServers }: Departures) =>
  virtualServers.flatMap(({ gone }) => gone?.map(({ address, port }) => `${address}:${port}`) ?? []);

describe('tellGone', () => {
  describe('with nodes', () => {
    const at = (now: number, ...dead: readonly string[]) => ({ nodes: deaths(...dead), now });
    const before = tellGone(undefined, serving(21, 22, 23), at(0));

    it('says nothing while nobody leaves, whoever is dead', () => {
      const next = serving(21, 22, 23);
      assert.equal(tellGone(before, next, at(1, '192.0.2.22')).virtualServers[0], next[0]);
    });

    it('lets those drain that live', () => assert.deepEqual(told(tellGone(before, serving(21), at(1))), []));

    it('names the dead among those that leave, in order', () => {
      const after = tellGone(before, serving(22), at(1, '192.0.2.23', '192.0.2.21'));
      assert.deepEqual(told(after), ['192.0.2.21:80', '192.0.2.23:80']);
    });

    it('names one that dies while it drains, and finds out that it has to be told', () => {
      const draining = tellGone(before, serving(21, 23), at(1));
      assert.equal(hasDeath(draining, deaths()), false);
      assert.equal(hasDeath(draining, deaths('192.0.2.22')), true);
      const after = tellGone(draining, serving(21, 23), at(20_000, '192.0.2.22'));
      assert.deepEqual(told(after), ['192.0.2.22:80']);
      assert.equal(hasDeath(after, deaths('192.0.2.22')), false);
    });

    it('no longer looks at one whose drain is over', () => {
      const draining = tellGone(before, serving(21, 23), at(1_000));
      assert.deepEqual(told(tellGone(draining, serving(21, 23), at(31_001, '192.0.2.22'))), []);
      assert.deepEqual(told(tellGone(draining, serving(21, 23), at(31_000, '192.0.2.22'))), ['192.0.2.22:80']);
    });

    it('names one as long as nothing else changes, and then no longer', () => {
      const first = tellGone(before, serving(21, 23), at(0, '192.0.2.22'));
      const later = tellGone(first, serving(21, 23), at(60_000, '192.0.2.22'));
      assert.deepEqual(later.virtualServers, first.virtualServers);
      assert.deepEqual(told(tellGone(later, serving(21), at(60_001, '192.0.2.22'))), []);
    });

    it('takes it back when the dead are wanted again', () => {
      const gone = tellGone(before, serving(21, 23), at(1, '192.0.2.22'));
      assert.deepEqual(told(tellGone(gone, serving(21, 22, 23), at(2))), []);
    });

    it('says nothing where there is no drain', () => {
      const atOnce = serving(21, 23).map((server) => ({ ...server, drainSeconds: 0 }));
      assert.deepEqual(told(tellGone(before, atOnce, at(1, '192.0.2.22'))), []);
    });

    it('tells a lot, but not without end', () => {
      const hosts = Array.from({ length: 255 }, (_, index) => index + 1);
      const reals = [...hosts, ...hosts].map((host, index) =>
        aRealServer({ address: index < 255 ? `192.0.2.${host}` : `198.51.100.${host}` }),
      );
      const many = [aVirtualServer({ drainSeconds: 30, realServers: reals })];
      const all = { hasNode: () => true, hasAddress: () => true };
      const after = tellGone(tellGone(undefined, many, at(0)), serving(), { nodes: all, now: 1 });
      assert.equal(told(after).length, 256);
    });
  });

  describe('with pods', () => {
    const slices = (...pods: readonly string[]) => [aGroup(pods)];
    const pods = (now: number, groups: ReturnType<typeof slices>, ...dead: readonly string[]) => ({
      nodes: deaths(...dead),
      groups,
      now,
    });
    const both = slices('192.0.2.21@a', '192.0.2.22@b');
    const before = tellGone(undefined, serving(21, 22), pods(0, both));
    const rows: readonly [
      what: string,
      steps: readonly (readonly string[])[],
      dead: readonly string[],
      gone: boolean,
    ][] = [
      ['that is not ready', [['192.0.2.22@b?']], [], false],
      ['that is not ready on a dead node', [['192.0.2.22@b?']], ['b'], true],
      ['that ends and serves', [['192.0.2.22@b!']], [], false],
      ['that ends and is not ready', [['192.0.2.22@b?!']], [], false],
      ['that has ended', [['192.0.2.22@b!'], []], [], true],
      ['that has ended, not ready at last', [['192.0.2.22@b!'], ['192.0.2.22@b?!'], []], [], true],
      ['that vanishes without ending', [[]], [], false],
      ['that vanishes after it was not ready', [['192.0.2.22@b?'], []], [], false],
      ['that vanishes with its node', [[]], ['b'], true],
      ['that vanishes while another node is dead', [[]], ['a'], false],
      ['that ends on a node that dies', [['192.0.2.22@b!']], ['b'], true],
      ['whose address another has that is not ready yet', [['192.0.2.22@b!'], ['192.0.2.22@a?']], [], false],
    ];
    for (const [what, steps, dead, gone] of rows) {
      it(`${gone ? 'names one' : 'lets one drain'} ${what}`, () => {
        const after = steps.reduce(
          (known, step, index) =>
            tellGone(known, serving(21), pods(index + 1, slices('192.0.2.21@a', ...step), ...dead)),
          before,
        );
        assert.deepEqual(told(after), gone ? ['192.0.2.22:80'] : []);
      });
    }

    it('knows what it saw of one while it was in use', () => {
      const ending = tellGone(undefined, serving(21, 22), pods(0, slices('192.0.2.21@a!', '192.0.2.22@b!')));
      assert.deepEqual(told(tellGone(ending, serving(21), pods(1, slices('192.0.2.21@a!')))), ['192.0.2.22:80']);
    });

    it('judges pods as pods after the Service has turned to nodes, and nodes as nodes after it has turned to pods', () => {
      const ending = tellGone(before, serving(21), pods(1, slices('192.0.2.21@a', '192.0.2.22@b!')));
      assert.deepEqual(told(tellGone(ending, serving(21), { nodes: deaths('192.0.2.22'), now: 2 })), []);
      const nodes = tellGone(undefined, serving(21, 22), { nodes: deaths(), now: 0 });
      assert.deepEqual(told(tellGone(nodes, serving(21), pods(1, both, '192.0.2.22'))), ['192.0.2.22:80']);
    });
  });
});
