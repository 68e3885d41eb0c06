import assert from 'node:assert/strict';
import { addressLike, untilDialled, untilRefusedTo } from './pod-client.ts';
import type { Stage } from './stage.ts';

/** E03: a client outside and two pods on two nodes; ranges that let in one pod, everybody, nobody. */
export async function keepsSourceRanges(stage: Stage): Promise<void> {
  const addresses = await stage.serve('ranges');
  await stage.untilProgrammed('ranges');
  const [inside, other] = await stage.readyPods('web');
  assert.ok(inside && other);
  const everybody = async () => {
    await stage.untilAnswered(addresses, 'TCP');
    for (const address of addresses) {
      await untilDialled(inside, address, 'hostname');
      await untilDialled(other, address, 'hostname');
    }
  };
  const nobodyOutside = () => stage.untilSilent(addresses, 'TCP');
  const ranges = (loadBalancerSourceRanges: readonly string[] | null) =>
    stage.patch('ranges', { loadBalancerSourceRanges });
  await everybody();

  await ranges(addresses.map((address) => single(addressLike(inside, address))));
  await nobodyOutside();
  for (const address of addresses) {
    await untilDialled(inside, address, 'hostname');
    await untilRefusedTo(other, address);
  }

  await ranges(
    addresses.flatMap((address) => (address.includes(':') ? ['::/1', '8000::/1'] : ['0.0.0.0/1', '128.0.0.0/1'])),
  );
  await everybody();
  await ranges(addresses.map((address) => (address.includes(':') ? '2001:db8:dead::/128' : '255.0.0.0/32')));
  await nobodyOutside();
  for (const address of addresses) await untilRefusedTo(inside, address);
  await ranges(null);
  await everybody();
  await stage.remove('ranges');
}

function single(address: string): string {
  return `${address}/${address.includes(':') ? 128 : 32}`;
}
