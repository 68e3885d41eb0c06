import assert from 'node:assert/strict';
import { sieve } from '../../../operator/controllers/lane-sieve.ts';
import type { HelperHello } from '../../../operator/controllers/ports.ts';
import type { IpAddress } from '../../../operator/model/ip-address.ts';
import { aVirtualServer } from '../../builders/a-virtual-server.ts';
import { FakeDirector, fakeDialer } from '../../fakes/fake-director.ts';

const bereaved = aVirtualServer({ drainSeconds: 30, gone: [{ address: '192.0.2.22' as IpAddress, port: 80 }] });

describe('what is sent to a director', () => {
  for (const [features, gone] of [
    [['gone'], bereaved.gone],
    [['gone', 'more'], bereaved.gone],
    [[], undefined],
    [undefined, undefined],
  ] as const) {
    it(`names real servers that are gone ${gone ? '' : 'not '}to a helper with features ${JSON.stringify(features)}`, async () => {
      const hello = await helloWith(features);
      const { possible, failures } = sieve([bereaved], hello, 0);
      assert.deepEqual([possible.map((each) => each.gone), failures.size], [[gone], 0]);
      assert.deepEqual(possible[0]?.realServers, bereaved.realServers);
    });
  }
});

async function helloWith(features: readonly string[] | undefined): Promise<HelperHello> {
  const director = new FakeDirector({ address: '192.0.2.11' });
  const target = { name: 'director-1', address: director.address as IpAddress, port: 22, user: 'operator' };
  const dialled = await fakeDialer([director]).dial({ ...target, hostKeys: [], owner: 'prod', privateKey: '' });
  assert.ok(dialled.ok);
  const { features: _, ...capabilities } = dialled.session.hello.capabilities;
  return { ...dialled.session.hello, capabilities: { ...capabilities, ...(features && { features }) } };
}
