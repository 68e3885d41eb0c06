/**
 * A moment as Kubernetes writes it in `metav1.Time`: RFC 3339 in UTC with whole seconds, `2026-11-23T11:20:00Z`.
 *
 * @param milliseconds since the epoch.
 */
export function formatTime(milliseconds: number): string {
  return `${new Date(milliseconds).toISOString().slice(0, 19)}Z`;
}
