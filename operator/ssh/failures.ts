import type { DirectorFailure, DirectorTarget } from '../controllers/ports.ts';
import { printable } from '../lib/printable.ts';

/** How far a connection had come when it failed. */
export type Stage = 'connect' | 'handshake' | 'authentication' | 'open';

/** What ssh2 reports beside the message: where the error arose, or the number of a disconnect message (RFC 4253, 11.1). */
export interface SshError extends Error {
  readonly level?: string;
  readonly code?: string | number;
}

/** `director d1 (ipvs@192.0.2.11 port 22)`: the object of every message below. */
export function describeTarget(target: DirectorTarget): string {
  return `director ${target.name} (${target.user}@${target.address} port ${target.port})`;
}

export function silent(target: DirectorTarget, stage: Stage, milliseconds: number): DirectorFailure {
  const seconds = milliseconds / 1000;
  const message =
    stage === 'connect'
      ? `no TCP connection within ${seconds} s; check that the host is up, the address is right and no firewall drops the packets`
      : `accepts connections but was silent for ${seconds} s of the SSH ${stage}; check that it is sshd that listens on this port, and that the host is not overloaded`;
  return { reason: stage === 'connect' ? 'Unreachable' : 'Timeout', message: `${describeTarget(target)}: ${message}` };
}

export function noAnswer(target: DirectorTarget, what: string, milliseconds: number): DirectorFailure {
  return {
    reason: 'Timeout',
    message:
      `${describeTarget(target)}: no answer to ${what} within ${milliseconds / 1000} s, connection closed; ` +
      'check that the host is not frozen or overloaded and that the network carries packets both ways',
  };
}

export function badPrivateKey(target: DirectorTarget, problem: string): DirectorFailure {
  return {
    reason: 'BadPrivateKey',
    message:
      `${describeTarget(target)}: the private key in its Secret cannot be used: ${problem}; ` +
      'store an unencrypted OpenSSH or PEM private key under ssh-privatekey (ssh-keygen -t ed25519 -N "" makes one)',
  };
}

export function hostKeyMismatch(
  target: DirectorTarget,
  offered: string | undefined,
  pinned: readonly string[],
): DirectorFailure {
  const expected = pinned.length === 0 ? 'spec.hostKeys holds no usable key' : `pinned: ${pinned.join(', ')}`;
  const got = offered === undefined ? 'the host has no key of a pinned type' : `the host offers ${offered}`;
  return {
    reason: 'HostKeyMismatch',
    message:
      `${describeTarget(target)}: host key not trusted: ${got}; ${expected}; nothing was sent. ` +
      'If the host was reinstalled, compare with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on its console and update spec.hostKeys; otherwise someone may be in between',
  };
}

export function authenticationFailed(target: DirectorTarget): DirectorFailure {
  return {
    reason: 'AuthenticationFailed',
    message:
      `${describeTarget(target)}: user ${target.user} was refused with the key of the Secret; ` +
      `the authorized_keys line of that key is missing on the host, or sshd does not let the user in: add ` +
      `command="/usr/lib/ipvs-operator/ipvs-helper serve --owner ${target.owner}",restrict <public key> to ~${target.user}/.ssh/authorized_keys`,
  };
}

export function notADirector(target: DirectorTarget, what: string): DirectorFailure {
  return {
    reason: 'NotADirector',
    message:
      `${describeTarget(target)}: ${what}; install ipvs-helper there and make it the forced command of the key: ` +
      `command="/usr/lib/ipvs-operator/ipvs-helper serve --owner ${target.owner}",restrict in authorized_keys`,
  };
}

export function incompatibleHelper(
  target: DirectorTarget,
  helper: { readonly version: string; readonly protocol: { readonly min: number; readonly max: number } },
  spoken: { readonly min: number; readonly max: number },
): DirectorFailure {
  const older = helper.protocol.max < spoken.min ? 'ipvs-helper on the host' : 'the operator';
  return {
    reason: 'IncompatibleHelper',
    message:
      `${describeTarget(target)}: helper ${helper.version} speaks protocol ${range(helper.protocol)}, ` +
      `this operator ${range(spoken)}; update ${older}`,
  };
}

export function protocolError(target: DirectorTarget, what: string): DirectorFailure {
  return {
    reason: 'ProtocolError',
    message:
      `${describeTarget(target)}: ${printable(what, 400)}; connection closed. ` +
      'Install the ipvs-helper of the same release as the operator; if it is, report this as a bug',
  };
}

/** A session that is over though nothing was wrong with the network: `how` says who ended it and how. */
export function closed(target: DirectorTarget, how: string): DirectorFailure {
  return { reason: 'Closed', message: `${describeTarget(target)}: ${how}` };
}

/** What an error of the connection means for a person. `sawHostKey` and the pinned keys make the host key's message. */
export function connectionFailure(
  target: DirectorTarget,
  stage: Stage,
  error: SshError | undefined,
  hostKey: { readonly offered: string | undefined; readonly accepted: boolean; readonly pinned: readonly string[] },
): DirectorFailure {
  if (stage === 'handshake' && hostKey.offered !== undefined && !hostKey.accepted) {
    return hostKeyMismatch(target, hostKey.offered, hostKey.pinned);
  }
  if (error?.message.includes('no matching host key format')) return hostKeyMismatch(target, undefined, hostKey.pinned);
  if (error?.level === 'client-socket') return unreachable(target, stage, error);
  if (error?.level === 'client-timeout') return frozen(target);
  // A disconnect message has a number: sshd refuses in words ("Too many authentication failures"). A mere close is the network's.
  const isRefusal = error?.level === 'client-authentication' || typeof error?.code === 'number';
  if (stage === 'authentication' && isRefusal) return authenticationFailed(target);
  if (stage === 'handshake' || stage === 'authentication') return failedHandshake(target, stage, error);
  if (error !== undefined) return protocolError(target, `SSH error: ${error.message}`);
  return lost(target);
}

function lost(target: DirectorTarget): DirectorFailure {
  return {
    reason: 'Closed',
    message:
      `${describeTarget(target)}: the host closed the connection; ` +
      'if it did not reboot or restart sshd, its journal says why (journalctl -u ssh)',
  };
}

function frozen(target: DirectorTarget): DirectorFailure {
  return {
    reason: 'Timeout',
    message:
      `${describeTarget(target)}: SSH keepalives stay unanswered, connection closed; ` +
      'check that the host is not frozen or overloaded and that the network carries packets both ways',
  };
}

const SOCKET_ERRORS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused; check that sshd listens on this port',
  EHOSTUNREACH: 'no route to the host; check the address, the routes and that the host is up',
  ENETUNREACH: 'network unreachable; check the routes of the operator and the address',
  ETIMEDOUT: 'connection timed out; check that the host is up and no firewall drops the packets',
  ECONNRESET: 'connection reset by the host; check that sshd runs and that no firewall cuts the connection',
  EPIPE: 'connection reset by the host; check that sshd runs and that no firewall cuts the connection',
};

function unreachable(target: DirectorTarget, stage: Stage, error: SshError): DirectorFailure {
  const code = String(error.code ?? '');
  const cause = SOCKET_ERRORS[code] ?? `${printable(error.message, 100)}; check the network between operator and host`;
  const during = stage === 'connect' || stage === 'open' ? '' : ` during the SSH ${stage}`;
  return { reason: 'Unreachable', message: `${describeTarget(target)}${during}: ${cause}` };
}

function failedHandshake(target: DirectorTarget, stage: Stage, error: SshError | undefined): DirectorFailure {
  const said = error === undefined ? 'connection closed' : printable(error.message, 200);
  if (/^(Invalid (identification|header)|Header line|Max greeting)/.test(said)) {
    return {
      reason: 'NotADirector',
      message: `${describeTarget(target)}: what answers on this port is not an SSH server; check spec.address and spec.port`,
    };
  }
  if (said.includes('no matching')) {
    return protocolError(
      target,
      `${said}: host and operator have no algorithm in common; allow a current one in sshd_config`,
    );
  }
  return {
    reason: 'Unreachable',
    message:
      `${describeTarget(target)}: the host accepts connections and drops them during the SSH ${stage} (${said}); ` +
      'check that sshd runs there, its MaxStartups, and firewalls in between',
  };
}

function range({ min, max }: { readonly min: number; readonly max: number }): string {
  return min === max ? `version ${min}` : `versions ${min} to ${max}`;
}
