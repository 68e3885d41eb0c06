import assert from 'node:assert/strict';
import { type CaseSubject, keysOf, put, web } from './contract-requests.ts';

/** What every session does, whatever the table. */
export function sessionCases(at: CaseSubject): void {
  it('says who it is before anything else', () => {
    const { owner, protocol, epoch, generation, capabilities, problems } = at.session.hello;
    assert.deepEqual([owner, protocol.min, epoch, generation, problems], ['prod', 1, 0, 0, []]);
    assert.ok(capabilities.schedulers.includes('mh'));
    assert.deepEqual([...capabilities.forwardingMethods], ['DirectRouting', 'Masquerading', 'Tunneling', 'Local']);
    assert.deepEqual([...capabilities.families], ['IPv4', 'IPv6']);
  });

  it('looks at its host, and says of each thing what it found', async () => {
    const answer = await at.session.preflight();
    assert.ok(answer.kind === 'ok');
    assert.ok(
      answer.value.some(({ name, verdict }) => name === 'kernel' && verdict === 'ok'),
      JSON.stringify(answer.value),
    );
  });

  it('answers a ping', async () => assert.deepEqual(await at.session.ping(), { kind: 'ok', value: undefined }));

  it('answers requests in the order in which they were made', async () => {
    const order: string[] = [];
    await Promise.all([
      put(at.session, web).then(() => order.push('apply')),
      at.session.ping().then(() => order.push('ping')),
      keysOf(at.session).then(({ keys }) => order.push(`read ${keys.length}`)),
    ]);
    assert.deepEqual(order, ['apply', 'ping', 'read 1']);
  });
}
