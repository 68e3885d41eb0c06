import type { WriteResult } from '../controllers/ports.ts';
import { FIELD_MANAGER } from '../model/names.ts';
import type { ApiAnswer, ApiClient } from './api-client.ts';

/** We own what we state: another manager's claim on it is overruled, and what we stated before and state no more goes. */
export function serverSideApply(api: ApiClient, path: string, body: unknown): Promise<ApiAnswer> {
  const query = { fieldManager: FIELD_MANAGER, force: 'true' };
  return api.patch(path, 'application/apply-patch+yaml', body, { query });
}

/** What the answer to a write, or to the look before it, means for the writer. */
export function writeResult(answer: ApiAnswer): WriteResult {
  if (answer.ok) return { kind: 'written' };
  if (answer.status === 404) return { kind: 'gone' };
  if (answer.status === 409) return { kind: 'conflict' };
  // What an apply with another uid than that of the stored object is told: it is another object of the same name.
  if (answer.status === 422 && answer.message.includes('metadata.uid')) return { kind: 'gone' };
  return { kind: 'failed', cause: answer.message };
}
