import { execFileSync } from 'node:child_process';

/** The router's and the director's address in the network that {@link directorNetwork} makes. */
export const ROUTER = '192.0.2.1';
export const DIRECTOR = '192.0.2.11';

/** Makes, in the caller's own network namespace, a bridge with the router's address and the tap of director-1. */
export function directorNetwork(): void {
  const commands = [
    ['link', 'set', 'lo', 'up'],
    ['link', 'add', 'lan', 'type', 'bridge'],
    ['address', 'add', `${ROUTER}/24`, 'dev', 'lan'],
    ['tuntap', 'add', 'dev', 'director-1', 'mode', 'tap'],
    ['link', 'set', 'director-1', 'master', 'lan', 'up'],
    ['link', 'set', 'lan', 'up'],
  ];
  for (const command of commands) execFileSync('ip', command);
}
