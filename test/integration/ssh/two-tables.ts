import type { CidrRange } from '../../../operator/model/cidr-range.ts';
import { aRealServer, aVirtualServer } from '../../builders/a-virtual-server.ts';

const hosts = (last: readonly number[], weight = 1) =>
  last.map((number) => aRealServer({ address: `192.0.2.${number}`, weight }));
const numbered = (number: number, overrides: Parameters<typeof aVirtualServer>[0]) =>
  aVirtualServer({ address: `203.0.113.${number}`, ...overrides });

/** What both tables have. */
export const UNRELATED = [numbered(70, { realServers: hosts([21, 22]) }), numbered(71, { realServers: hosts([21]) })];
const edited: Parameters<typeof aVirtualServer>[0] = {
  scheduler: 'wrr',
  schedulerFlags: [],
  realServers: hosts([22, 23], 3),
  sourceRanges: ['198.51.100.0/24' as CidrRange],
};
/** Between these two a director goes back and forth: virtual servers, real servers, packet rules and VIPs come, go and change. */
export const TABLES = [
  [...UNRELATED, ...[72, 73, 74, 75].map((number) => numbered(number, { realServers: hosts([21, 22]) }))],
  [...UNRELATED, ...[74, 75, 76, 77].map((number) => numbered(number, edited))],
] as const;
