/** One thing that the helper has looked at on its host (docs/wire-protocol.md, Preflight). */
export interface PreflightCheck {
  readonly name: string;
  /** `failed`: the host cannot be a director; `warning`: something will not be as one expects. */
  readonly verdict: 'ok' | 'warning' | 'failed';
  readonly message: string;
  /** What to do; empty when nothing is. */
  readonly remedy: string;
}
