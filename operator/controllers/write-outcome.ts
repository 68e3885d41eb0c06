import { DONE, type Outcome } from './outcome.ts';
import type { WriteResult } from './ports.ts';

/** What to do after a write to the API server. `what` completes "could not …". An object that is gone needs nothing more. */
export function outcomeOfWrite(result: WriteResult, what: string): Outcome {
  switch (result.kind) {
    case 'written':
    case 'unchanged':
    case 'gone':
      return DONE;
    case 'conflict':
      return { kind: 'retry', cause: `could not ${what}: it changed meanwhile` };
    case 'failed':
      return { kind: 'retry', cause: `could not ${what}: ${result.cause}` };
  }
}
