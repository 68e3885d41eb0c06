import { listInWords } from '../lib/list-in-words.ts';
import type { AddressPool } from '../model/address-pool.ts';
import type { Condition } from '../model/condition.ts';
import type { IpAddress } from '../model/ip-address.ts';
import type { Ingress, LoadBalancedService } from '../model/load-balanced-service.ts';
import { SERVICE_CONDITION } from '../model/names.ts';
import type { PortProblem } from '../model/port-problem.ts';
import type { ServiceStatus } from '../model/status.ts';
import type { VipDecision } from './address-decision.ts';
import { ipModeOf } from './effective-balancing.ts';

/** What one director of the pool says about the virtual servers of one Service. */
export interface DirectorConfirmation {
  readonly director: string;
  /** Connected, compatible, filled, Active: it counts for publication. */
  readonly ready: boolean;
  /** Programmed: read back as desired. Pending: asked, no answer yet. Failed: refused. */
  readonly state: 'Programmed' | 'Pending' | 'Failed';
  /** Why it is not ready or has failed. Must not change while nothing changes, or it causes writes. */
  readonly message?: string;
  /** False only when the director is known to have no virtual server of the Service; undefined when not known. */
  readonly holds?: boolean;
}

export interface ServiceStatusInput {
  readonly service: LoadBalancedService;
  readonly decision: VipDecision;
  /** The pool of the decision; undefined when there is none (any more). */
  readonly pool: AddressPool | undefined;
  /** Every director that the pool selects. */
  readonly directors: readonly DirectorConfirmation[];
  /** Why something of the Service cannot be programmed. */
  readonly problems: readonly string[];
  /** Ports that are not served; the others are. */
  readonly portProblems?: readonly PortProblem[];
  readonly notes?: readonly string[];
}

/**
 * The status of a Service. An address is published when every ready director of the pool, and at least one, has confirmed it
 * (D9). Once published it stays while any director holds it or may hold it: directors that are away take nothing back.
 */
export function serviceStatus(input: ServiceStatusInput): ServiceStatus {
  const { service, decision } = input;
  if (!service.wanted) return { ingress: [], conditions: [] };
  const ingress = decision.kind === 'assigned' ? ingressOf(decision.addresses, input) : [];
  const published = ingress.length > 0;
  const conditions = [addressAssigned(input), programmed(input, published)].map((condition) =>
    service.generation > 0 ? { ...condition, observedGeneration: service.generation } : condition,
  );
  return { ingress, conditions };
}

function ingressOf(addresses: readonly IpAddress[], input: ServiceStatusInput): readonly Ingress[] {
  const { service, pool } = input;
  const stored = new Map(service.ingress.map((entry) => [entry.ip, entry]));
  const confirmed = isConfirmed(input);
  const lost = isLost(input.directors);
  return addresses
    .filter((ip) => (stored.has(ip) ? !lost : confirmed))
    .map((ip) => {
      const ipMode = pool === undefined ? (stored.get(ip)?.ipMode ?? 'VIP') : ipModeOf(pool, service);
      return { ip, ipMode, ...portsOf(input) };
    });
}

/** With a port that is not served every port is listed, that one with its error; else none is. */
function portsOf({ service, portProblems = [] }: ServiceStatusInput): Pick<Ingress, 'ports'> {
  if (portProblems.length === 0) return {};
  const ports = service.ports.map(({ port, protocol }) => {
    const error = portProblems.find((problem) => problem.port === port && problem.protocol === protocol)?.error;
    return { port, protocol, ...(error !== undefined && { error }) };
  });
  return { ports };
}

function isConfirmed({ directors, problems }: ServiceStatusInput): boolean {
  const ready = directors.filter((director) => director.ready);
  return problems.length === 0 && ready.length > 0 && ready.every(({ state }) => state === 'Programmed');
}

/** Directors answer, and none of them, nor any that does not answer, can hold the address. */
function isLost(directors: readonly DirectorConfirmation[]): boolean {
  return directors.some(({ ready }) => ready) && directors.every(({ holds }) => holds === false);
}

function addressAssigned({ decision }: ServiceStatusInput): Condition {
  const type = SERVICE_CONDITION.addressAssigned;
  if (decision.kind === 'refused') return { type, status: 'False', reason: decision.reason, message: decision.message };
  const { addresses, pool, unmet } = decision;
  if (unmet !== undefined) return { type, status: 'True', reason: unmet.reason, message: unmet.message };
  const message = `Address ${listInWords(addresses)} from LoadBalancerPool ${pool}.`;
  return { type, status: 'True', reason: 'Assigned', message };
}

function programmed(input: ServiceStatusInput, published: boolean): Condition {
  const type = SERVICE_CONDITION.programmed;
  const { decision, directors, problems, portProblems = [], notes = [] } = input;
  const say = (status: Condition['status'], reason: string, ...sentences: readonly string[]): Condition => ({
    type,
    status,
    reason,
    message: [...sentences, ...notes].join(' '),
  });
  if (decision.kind === 'refused') return say('False', 'NoAddress', 'There is no address to program.');
  if (problems.length > 0) return say('False', 'CannotProgram', ...problems);
  const names = (some: readonly DirectorConfirmation[]) => listInWords(some.map(({ director }) => director).sort());
  const ready = directors.filter((director) => director.ready);
  const away = directors.filter((director) => !director.ready).map(absence);
  if (directors.length === 0)
    return say(
      published ? 'Unknown' : 'False',
      'NoDirectorSelected',
      `The directors.selector of LoadBalancerPool ${decision.pool} matches no Director. Correct the selector or the labels of the Directors.`,
    );
  if (ready.length === 0) {
    const stays = published ? ['The address stays published.'] : [];
    return say(published ? 'Unknown' : 'False', 'NoDirectorReady', ...away, ...stays);
  }
  const failed = ready.filter(({ state }) => state === 'Failed');
  if (failed.length > 0) return say('False', 'DirectorFailed', ...failed.map(failure), ...away);
  // A published Service whose change is on its way is still served as before: saying so would cost two writes per change.
  const pending = published ? [] : ready.filter(({ state }) => state === 'Pending');
  if (pending.length > 0) return say('False', 'Pending', `Waiting for director ${names(pending)} to confirm.`, ...away);
  if (portProblems.length > 0)
    return say('False', 'PortsNotProgrammed', ...portProblems.map(({ message }) => message), ...away);
  return say('True', 'Programmed', `Programmed on director ${names(ready)}.`, ...away);
}

function absence({ director, message }: DirectorConfirmation): string {
  return `Director ${director} is not ready${message === undefined ? '.' : `: ${message}`}`;
}

function failure({ director, message }: DirectorConfirmation): string {
  return `Director ${director} refused${message === undefined ? '.' : `: ${message}`}`;
}
