import type { LaneOptions } from './lane-options.ts';
import type { DirectorDialer, DirectorTarget } from './ports.ts';
import type { Signal } from './signal.ts';

export type DialResult = Awaited<ReturnType<DirectorDialer['dial']>>;

/**
 * Dials, and gives up as soon as the result is no longer wanted: a session that comes about later is closed at once.
 *
 * @param wanted asked again whenever the signal is raised.
 * @returns undefined when it is not wanted any more.
 */
export async function dialWhile(
  wanted: () => boolean,
  wake: Signal,
  options: LaneOptions,
  target: DirectorTarget,
): Promise<DialResult | undefined> {
  let result: DialResult | undefined;
  void dial(options, target).then((outcome) => {
    result = outcome;
    if (!wanted() && outcome.ok) outcome.session.close();
    wake.raise();
  });
  while (result === undefined && wanted()) await wake.wait();
  if (wanted()) return result;
  if (result?.ok) result.session.close();
  return undefined;
}

async function dial({ dialer, log, director }: LaneOptions, target: DirectorTarget): Promise<DialResult> {
  try {
    return await dialer.dial(target);
  } catch (error) {
    log.error('dialling a director threw', { director, error });
    const message = `Director ${director}: the operator failed to dial: ${String(error)}`;
    return { ok: false, failure: { reason: 'ProtocolError', message } };
  }
}
