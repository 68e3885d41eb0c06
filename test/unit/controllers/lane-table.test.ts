import assert from 'node:assert/strict';
import { LaneTable } from '../../../operator/controllers/lane-table.ts';
import type { IpAddress } from '../../../operator/model/ip-address.ts';
import { serviceKey } from '../../../operator/model/load-balanced-service.ts';
import { aVirtualServer } from '../../builders/a-virtual-server.ts';

describe('LaneTable', () => {
  const keyOf = (index: number) => serviceKey('default', `service-${index}`);
  const serverOf = (index: number, weight = 1) => {
    const [realServer] = aVirtualServer().realServers;
    assert.ok(realServer);
    return aVirtualServer({ address: `203.0.113.${index}` as IpAddress, realServers: [{ ...realServer, weight }] });
  };

  it('sends no more at once than asked, and first what is not on the director yet', () => {
    const table = new LaneTable();
    table.learn([]);
    for (let index = 1; index <= 20; index += 1) table.intents.assign(keyOf(index), [serverOf(index)], []);
    const all = table.takeDirty(1_000);
    table.sending(all);
    table.confirm(all, new Map());
    for (let index = 1; index <= 20; index += 1) table.intents.assign(keyOf(index), [serverOf(index, 2)], []);
    table.intents.assign(keyOf(99), [serverOf(99)], []);
    const first = table.takeDirty(12);
    assert.equal(first.virtualServers.length, 4, 'one virtual server with one real server weighs three');
    assert.ok(first.virtualServers.some(({ address }) => address === '203.0.113.99'));
    assert.equal(table.takeDirty(1_000).virtualServers.length, 17);
  });

  it('adds nothing at an address before what is to be removed there', () => {
    const table = new LaneTable();
    table.learn([]);
    table.intents.assign(keyOf(1), [serverOf(1)], []);
    const before = table.takeDirty(1_000);
    table.sending(before);
    table.confirm(before, new Map());
    table.intents.assign(keyOf(2), [{ ...serverOf(1), port: 81 }], []);
    table.intents.withdraw(keyOf(1), []);
    const { absent, virtualServers } = table.takeDirty(3);
    assert.deepEqual([absent.map(({ port }) => port), virtualServers.map(({ port }) => port)], [[80], [81]]);
  });

  it('names after an answer only the Services at its addresses, and once all that leave when the keys have been read', () => {
    const table = new LaneTable();
    for (let index = 1; index <= 20; index += 1) table.intents.withdraw(keyOf(index), [serverOf(index).address]);
    table.learn([serverOf(1), serverOf(2)]);
    assert.equal(table.confirm({ virtualServers: [], absent: [] }, new Map()).size, 20);
    const touched = table.confirm({ virtualServers: [], absent: [serverOf(2)] }, new Map());
    assert.deepEqual([...touched], [keyOf(2)]);
  });
});
