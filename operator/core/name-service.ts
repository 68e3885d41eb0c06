import type { ServiceKey } from '../model/load-balanced-service.ts';

/** How a message to one Service names another: whoever reads one namespace need not be able to see into others. */
export function nameService(other: ServiceKey, readerNamespace: string): string {
  return other.startsWith(`${readerNamespace}/`) ? `Service ${other}` : 'a Service of another namespace';
}
