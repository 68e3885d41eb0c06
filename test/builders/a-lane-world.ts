import { DirectorLane } from '../../operator/controllers/director-lane.ts';
import { laneSpec } from '../../operator/controllers/lane-target.ts';
import type { Director } from '../../operator/model/director.ts';
import { type ServiceKey, serviceKey } from '../../operator/model/load-balanced-service.ts';
import { formatVirtualServerKey, type VirtualServer } from '../../operator/model/virtual-server.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { FakeDirector, fakeDialer } from '../fakes/fake-director.ts';
import { FakeLog } from '../fakes/fake-log.ts';
import { aDirector } from './a-director.ts';
import { aRealServer, aVirtualServer } from './a-virtual-server.ts';
import { FakeLease } from './a-world.ts';

export const WEB = serviceKey('default', 'web');
export const DNS = serviceKey('default', 'dns');
export const KEY = { ok: true, privateKey: 'a private key' } as const;
export const web = at('203.0.113.10', 80);
export const dns = { ...at('203.0.113.11', 53), protocol: 'UDP' as const };

/** A TCP virtual server with one real server, by direct routing, which cannot translate ports. */
export function at(address: string, port: number): VirtualServer {
  return aVirtualServer({ address, port, realServers: [aRealServer({ port })] });
}

/** One lane and its director. Functions can be taken out of it. */
export class LaneWorld {
  readonly clock = new FakeClock();
  readonly host: FakeDirector;
  readonly lease = new FakeLease(3);
  readonly lane: DirectorLane;
  readonly touched: ServiceKey[] = [];
  readonly repaired: string[] = [];

  constructor({ answerDelayMs = 5 }: { readonly answerDelayMs?: number } = {}) {
    this.host = new FakeDirector({ address: '192.0.2.11', clock: this.clock, answerDelayMs });
    this.lane = this.aLane();
  }

  readonly aLane = (): DirectorLane =>
    new DirectorLane({
      director: 'lb-1',
      dialer: fakeDialer([this.host]),
      leadership: this.lease,
      clock: this.clock,
      log: new FakeLog(),
      listener: {
        onServices: (services) => this.touched.push(...services),
        onReadiness: () => undefined,
        onReport: () => undefined,
        onApplied: () => undefined,
        onRepaired: (changes) => this.repaired.push(changes),
      },
    });

  readonly started = async (overrides: Partial<Director> & { address?: never } = {}): Promise<void> => {
    this.lane.configure(laneSpec(aDirector(overrides), KEY));
    this.lane.start();
    await this.clock.advance(1_000);
  };

  readonly table = () => this.host.table.virtualServers().map(formatVirtualServerKey);

  readonly requests = () =>
    this.host.applies.map(({ scope, virtualServers, absent }) =>
      [
        scope,
        ...virtualServers.map(formatVirtualServerKey),
        ...absent.map((key) => `-${formatVirtualServerKey(key)}`),
      ].join(' '),
    );
}

/** To be called in a suite. @returns what gives the world of the test that runs. */
export function eachInALaneWorld(): () => LaneWorld {
  let world: LaneWorld;
  beforeEach(() => {
    world = new LaneWorld();
  });
  afterEach(() => world.lane.stop());
  return () => world;
}
