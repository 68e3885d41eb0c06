import assert from 'node:assert/strict';
import { formatVirtualServerKey } from '../../../operator/model/virtual-server.ts';
import { at, DNS, dns, eachInALaneWorld, WEB, web } from '../../builders/a-lane-world.ts';

describe('DirectorLane and refusals', () => {
  const world = eachInALaneWorld();

  const outside = at('198.51.100.7', 80);

  it('fails the one Service with the reason and serves the others', async () => {
    const { lane, started } = world();
    lane.assign(WEB, [outside]);
    lane.assign(DNS, [dns]);
    await started();
    const refused = lane.confirmation(WEB);
    assert.equal(refused.kind, 'Failed');
    assert.match(refused.kind === 'Failed' ? refused.message : '', /198\.51\.100\.7/);
    assert.equal(lane.confirmation(DNS).kind, 'Programmed');
    assert.equal(lane.ready, true);
  });

  it('tries a refused object again now and then, and at once when its definition changes', async () => {
    const { clock, host, lane, started } = world();
    lane.assign(WEB, [outside]);
    await started();
    const applies = host.applies.length;
    await clock.advance(20_000);
    assert.equal(host.applies.length, applies);
    await clock.advance(25_000);
    assert.equal(host.applies.length, applies + 1);
    lane.assign(WEB, [web]);
    await clock.advance(100);
    assert.equal(lane.confirmation(WEB).kind, 'Programmed');
  });

  it('leaves an entry alone that somebody else made, and has nothing to take back there', async () => {
    const { clock, host, lane, started } = world();
    host.table.addBehindOurBack({ ...web, scheduler: 'rr' });
    lane.assign(WEB, [web]);
    await started();
    assert.equal(lane.confirmation(WEB).kind, 'Failed');
    lane.withdraw(WEB, []);
    await clock.advance(100);
    assert.equal(lane.absent(WEB), true);
    assert.equal(host.table.virtualServer(web)?.scheduler, 'rr');
  });

  it('has nothing to take back of a Service that policy has forbidden', async () => {
    const { clock, lane, started } = world();
    lane.assign(WEB, [outside]);
    await started();
    lane.withdraw(WEB, []);
    await clock.advance(100);
    assert.equal(lane.absent(WEB), true);
  });

  it('names what cannot be removed', async () => {
    const { clock, host, lane, started } = world();
    lane.assign(WEB, [web]);
    await started();
    host.table.refusals.set(formatVirtualServerKey(web), { class: 'object', message: 'device or resource busy' });
    lane.withdraw(WEB, []);
    await clock.advance(100);
    assert.equal(lane.absent(WEB), false);
    assert.match(lane.absenceProblem(WEB) ?? '', /busy/);
    host.table.refusals.clear();
    await clock.advance(60_000);
    assert.equal(lane.absent(WEB), true);
  });

  it('stays ready when a request is refused in passing, and not when that goes on', async () => {
    const { clock, host, lane, started } = world();
    await started();
    const busy = { refuse: { class: 'retry', message: 'another process holds the lock' } } as const;
    host.failNextApply(busy);
    lane.assign(WEB, [web]);
    await clock.advance(100);
    assert.equal(lane.ready, true);
    await clock.advance(5_000);
    assert.equal(lane.confirmation(WEB).kind, 'Programmed');
    for (let times = 0; times < 4; times += 1) host.failNextApply(busy);
    lane.assign(DNS, [dns]);
    await clock.advance(3_000);
    assert.equal(lane.ready, false);
    assert.match(lane.trouble?.message ?? '', /another process holds the lock/);
    await clock.advance(60_000);
    assert.equal(lane.ready, true);
  });

  it('is not ready while the host refuses every request, and comes back by itself', async () => {
    const { clock, host, lane, started } = world();
    await started();
    host.failNextApply({ refuse: { class: 'permanent', message: 'the ledger cannot be written' } });
    lane.assign(WEB, [web]);
    await clock.advance(100);
    assert.equal(lane.ready, false);
    assert.match(lane.trouble?.message ?? '', /the ledger cannot be written/);
    await clock.advance(60_000);
    assert.equal(lane.confirmation(WEB).kind, 'Programmed');
  });
});
