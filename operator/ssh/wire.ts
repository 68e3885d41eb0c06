import { z } from 'zod';
import type { ApplyRequest, ApplyResult, HelperError, HelperHello, ReadKeysResult } from '../controllers/ports.ts';
import { printable } from '../lib/printable.ts';
import type { HostSettings } from '../model/host-settings.ts';
import { type IpAddress, parseIpAddress } from '../model/ip-address.ts';
import type { PreflightCheck } from '../model/preflight-check.ts';
import type { RealServer, Tunnel, VirtualServer, VirtualServerKey } from '../model/virtual-server.ts';
import { type EncodedFrame, encodeFrame } from './frames.ts';

/** Versions of docs/wire-protocol.md that this operator speaks. */
export const SPOKEN_PROTOCOL = { min: 1, max: 1 } as const;

/** What can be asked of the helper. */
export type WireRequest =
  | { readonly op: 'ping' }
  | { readonly op: 'preflight' }
  | { readonly op: 'read'; readonly what: 'keys' }
  | ({ readonly op: 'apply' } & ApplyRequest);

/** The frame of a request. Only fields of the protocol are sent, since the helper refuses any other. */
export function encodeRequest(id: number, request: WireRequest): EncodedFrame {
  if (request.op !== 'apply') return encodeFrame({ id, ...request });
  const { op, epoch, generation, dryRun, scope } = request;
  return encodeFrame({
    id,
    op,
    epoch,
    generation,
    dryRun,
    scope,
    interface: request.interface,
    virtualServers: request.virtualServers.map(wireVirtualServer),
    absent: request.absent.map(wireKey),
    ...(request.host && { host: wireHost(request.host) }),
  });
}

function wireKey({ address, port, protocol }: VirtualServerKey): object {
  return { address, port, protocol };
}

function wireHost({ sysctls, timeouts }: HostSettings): object {
  if (timeouts === undefined) return { sysctls };
  const { tcpSeconds, tcpFinSeconds, udpSeconds } = timeouts;
  return { sysctls, timeouts: { tcpSeconds, tcpFinSeconds, udpSeconds } };
}

function wireVirtualServer(virtualServer: VirtualServer): object {
  const { scheduler, schedulerFlags, persistence, onePacket, drainSeconds, realServers } = virtualServer;
  const { masquerade, sourceRanges, mssClamp, gone } = virtualServer;
  return {
    ...wireKey(virtualServer),
    scheduler,
    schedulerFlags,
    ...(persistence && {
      persistence: { timeoutSeconds: persistence.timeoutSeconds, prefixLength: persistence.prefixLength },
    }),
    onePacket,
    ...(drainSeconds > 0 && { drainSeconds }),
    ...(masquerade === true && { masquerade }),
    ...(sourceRanges !== undefined && { sourceRanges }),
    ...(mssClamp !== undefined && { mssClamp }),
    realServers: realServers.map(wireRealServer),
    ...(gone && { gone: gone.map(({ address, port }) => ({ address, port })) }),
  };
}

function wireRealServer(realServer: RealServer): object {
  const { address, port, weight, forwardingMethod, upperThreshold, lowerThreshold, tunnel } = realServer;
  return {
    ...{ address, port, weight, forwardingMethod, upperThreshold, lowerThreshold },
    ...(tunnel && { tunnel: wireTunnel(tunnel) }),
  };
}

function wireTunnel({ type, port, checksum, remoteChecksum }: Tunnel): object {
  return { type, ...(port !== undefined && { port }), checksum, ...(remoteChecksum === true && { remoteChecksum }) };
}

// Fields that are not named below are ignored, so that a newer helper may add some; a wrong type is never accepted. Texts are made
// printable here, once: they end in statuses and events.
const whole = z.int().nonnegative();
const word = z.string().transform((text) => printable(text, 128));
const sentence = z.string().transform((text) => printable(text, 1024));
const address = z.string().transform((text, context): IpAddress => {
  const parsed = parseIpAddress(text);
  if (parsed !== undefined) return parsed;
  context.addIssue('not an IP address');
  return z.NEVER;
});
const key = z.object({ address, port: z.int().min(1).max(65_535), protocol: z.enum(['TCP', 'UDP', 'SCTP']) });
/** Entries of others may be of kinds that no key of ours can name (a firewall mark, port 0): those are only counted, in `counts`. */
const othersKeys = z
  .array(z.unknown())
  .transform((entries) => entries.flatMap((each) => key.safeParse(each).data ?? []));

/** Under our owner a person may have made virtual servers of firewall marks, which the operator neither makes nor names. */
const ownKeys = z
  .array(z.union([key, z.object({ firewallMark: whole }).transform(() => undefined)]))
  .transform((entries) => entries.filter((each) => each !== undefined));

const counts = z.object({
  virtualServers: whole,
  realServers: whole,
  draining: whole,
  foreign: whole,
  orphans: whole,
  activeConnections: whole,
  inactiveConnections: whole,
});

const helperError = z.object({
  class: z.enum(['retry', 'permanent', 'object', 'policy', 'fenced', 'collision', 'protocol']),
  message: sentence,
  errno: word.exactOptional(),
  object: word.exactOptional(),
  highest: z.object({ epoch: whole, generation: whole }).exactOptional(),
}) satisfies z.ZodType<HelperError>;

const applyResult = z.object({
  changes: z.array(z.object({ kind: word, object: word, sentence })),
  errors: z.array(helperError),
  failed: z.array(key),
  writes: whole,
  totalWrites: whole,
  tableHash: word,
  counts,
}) satisfies z.ZodType<ApplyResult>;

const readKeysResult = z.object({
  keys: ownKeys,
  foreign: othersKeys,
  orphans: othersKeys,
  addresses: z.array(address),
  tableHash: word,
  totalWrites: whole,
  counts,
}) satisfies z.ZodType<ReadKeysResult>;

const preflight = z
  .object({
    checks: z.array(
      z.object({ name: word, verdict: z.enum(['ok', 'warning', 'failed']), message: sentence, remedy: sentence }),
    ),
  })
  .transform(({ checks }): readonly PreflightCheck[] => checks);

const greeting = z.object({
  type: z.literal('hello'),
  protocol: z.object({ min: z.int(), max: z.int() }),
  version: word.optional(),
});

const hello = z.object({
  protocol: z.object({ min: z.int(), max: z.int() }),
  version: word,
  owner: word,
  bootId: word,
  machineId: word,
  netns: word,
  kernel: word,
  epoch: whole,
  generation: whole,
  capabilities: z.object({
    ipvs: z.boolean(),
    netAdmin: z.boolean(),
    schedulers: z.array(word),
    forwardingMethods: z.array(word),
    tunnelTypes: z.array(word).exactOptional(),
    families: z.array(word),
    features: z.array(word).exactOptional(),
  }),
  problems: z.array(sentence),
}) satisfies z.ZodType<HelperHello>;

/** How the result of each operation is read. */
export const RESULT_OF = {
  ping: z.object({}).transform(() => undefined),
  preflight,
  readKeys: readKeysResult,
  apply: applyResult,
} as const;

/** A helper's first frame. `incompatible`: a hello, but of versions that do not meet ours. `malformed`: no hello at all. */
export type DecodedHello =
  | { readonly kind: 'hello'; readonly hello: HelperHello }
  | {
      readonly kind: 'incompatible';
      readonly protocol: { readonly min: number; readonly max: number };
      readonly version: string;
    }
  | { readonly kind: 'malformed'; readonly problem: string };

/** Reads the first frame. The versions come first: a hello of another version may differ in everything else. */
export function decodeHello(payload: Buffer): DecodedHello {
  const json = parseJson(payload);
  if (!json.ok) return { kind: 'malformed', problem: json.problem };
  const first = greeting.safeParse(json.value);
  if (!first.success) return { kind: 'malformed', problem: problemOf(first.error) };
  const { protocol, version } = first.data;
  if (protocol.max < SPOKEN_PROTOCOL.min || protocol.min > SPOKEN_PROTOCOL.max) {
    return { kind: 'incompatible', protocol, version: version ?? 'unknown' };
  }
  const whole = hello.safeParse(json.value);
  return whole.success ? { kind: 'hello', hello: whole.data } : { kind: 'malformed', problem: problemOf(whole.error) };
}

/** A response to the request with the given id; `malformed` breaks the session, since nothing after it can be trusted. */
export type DecodedResponse<T> =
  | { readonly kind: 'ok'; readonly value: T }
  | { readonly kind: 'refused'; readonly error: HelperError }
  | { readonly kind: 'malformed'; readonly problem: string };

const response = z.discriminatedUnion('ok', [
  z.object({ id: whole, ok: z.literal(true), result: z.unknown() }),
  z.object({ id: whole, ok: z.literal(false), error: helperError }),
]);

/** Reads a response. It must carry this id, and a result of this form. */
export function decodeResponse<T>(payload: Buffer, id: number, result: z.ZodType<T>): DecodedResponse<T> {
  const json = parseJson(payload);
  if (!json.ok) return { kind: 'malformed', problem: json.problem };
  const envelope = response.safeParse(json.value);
  if (!envelope.success) return { kind: 'malformed', problem: problemOf(envelope.error) };
  const answer = envelope.data;
  if (answer.id !== id) {
    const said = answer.ok ? '' : ` (${answer.error.message})`;
    return { kind: 'malformed', problem: `it answers request ${answer.id} while request ${id} is in flight${said}` };
  }
  if (!answer.ok) return { kind: 'refused', error: answer.error };
  const value = result.safeParse(answer.result);
  return value.success
    ? { kind: 'ok', value: value.data }
    : { kind: 'malformed', problem: `result: ${problemOf(value.error)}` };
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

function parseJson(payload: Buffer): { ok: true; value: unknown } | { ok: false; problem: string } {
  try {
    return { ok: true, value: JSON.parse(utf8.decode(payload)) };
  } catch {
    return { ok: false, problem: 'the frame is not JSON in UTF-8' };
  }
}

/** The first thing that is wrong, with where: enough to find a bug, and nothing of the value. */
function problemOf(error: z.ZodError): string {
  const [issue] = error.issues;
  if (issue === undefined) return 'it has an unknown form';
  const path = issue.path.map(String).join('.');
  return printable(path === '' ? issue.message : `${path}: ${issue.message}`, 200);
}
