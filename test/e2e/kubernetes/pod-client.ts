import assert from 'node:assert/strict';
import { authority } from '../answers.ts';
import type { Stored } from '../cluster.ts';
import { eventually } from '../eventually.ts';
import { HTTP_PORT } from '../manifests.ts';
import { lab } from '../world.ts';

/**
 * A client inside the cluster: tells a pod, over its own address, to ask a host by HTTP (`/dial` of agnhost), and gives back what the
 * pod was answered. Rejects when it was not.
 */
export async function dialFrom(pod: Stored, address: string, request: 'hostname' | 'clientip'): Promise<string> {
  const query = new URLSearchParams({ host: address, port: '80', request, protocol: 'http', tries: '1' });
  const url = `http://${authority(pod.status.podIP, HTTP_PORT)}/dial?${query.toString()}`;
  const { status, body, error } = await lab().client('client').get(url, { timeoutMs: 15_000 });
  assert.equal(status, 200, `${url}: ${error ?? body}`);
  const { responses = [], errors = [] } = JSON.parse(body) as { responses?: string[]; errors?: string[] };
  assert.deepEqual(errors, []);
  assert.equal(responses.length, 1, `${url}: ${body}`);
  return responses[0]?.trim() ?? '';
}

/** Waits until the pod is answered, and as it should be: `check` throws otherwise. */
export async function untilDialled(
  pod: Stored,
  address: string,
  request: 'hostname' | 'clientip',
  check: (answer: string) => void = () => undefined,
): Promise<void> {
  await eventually(`pod ${pod.metadata.name} to be answered by ${address}`, async () => {
    check(await dialFrom(pod, address, request));
    return true;
  });
}

/** Waits until the pod is not answered. */
export async function untilRefusedTo(pod: Stored, address: string): Promise<void> {
  await eventually(`pod ${pod.metadata.name} to be refused by ${address}`, async () => {
    await assert.rejects(dialFrom(pod, address, 'hostname'), `${address} answers`);
    return true;
  });
}

/** The pod's address in the family of another. */
export function addressLike(pod: Stored, address: string): string {
  const ipv6 = address.includes(':');
  return pod.status.podIPs.find(({ ip }: { ip: string }) => ip.includes(':') === ipv6).ip;
}
