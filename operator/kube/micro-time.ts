/**
 * A moment as `metav1.MicroTime`: RFC 3339 in UTC with exactly six digits, which is all that the API server's parser admits.
 *
 * @param milliseconds since the epoch.
 */
export function formatMicroTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace('Z', '000Z');
}
