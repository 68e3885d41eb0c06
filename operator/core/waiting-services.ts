import { familyOf, type IpAddress } from '../model/ip-address.ts';
import type { LoadBalancedService, ServiceKey } from '../model/load-balanced-service.ts';
import type { Awaited } from './address-decision.ts';
import type { AddressLedger } from './address-ledger.ts';
import { claims, portsOf } from './obstacles.ts';
import { LINE, WaitingList } from './waiting-list.ts';

/** A Service has one address per family. So many more of a pool its namespace may have to be allowed for it; fewer than none when it gives up more than it gets. */
const PLACES = [-1, 0, 1, 2] as const;

/** Services that wait for an address, or for another one, and which of them have a chance after a change of the ledger. */
export class WaitingServices {
  readonly #ledger: AddressLedger;
  readonly #list = new WaitingList();

  constructor(ledger: AddressLedger) {
    this.#ledger = ledger;
  }

  /**
   * The Service waits for this, and for what else could help it.
   *
   * @param own addresses that are its own as soon as nobody else is in the way.
   */
  wait(service: LoadBalancedService, { addresses, free, quotas = [] }: Awaited, own: readonly IpAddress[]): void {
    const { key, namespace, createdAt, request } = service;
    const holding = this.#ledger.holding(key);
    // Beside others it keeps the key that they share, and gets a missing family under that.
    const keys = new Set([request.sharingKey, holding?.sharingKey].flatMap((sharingKey) => sharingKey ?? []));
    const lines = [
      LINE.namespace(namespace),
      LINE.pool(request.pool),
      ...[...new Set([...addresses, ...own])].map(LINE.address),
      ...free.map(({ pool, family }) => LINE.freeAddress(pool, family)),
      ...quotas.map(({ pool, places }) => LINE.quota(pool, namespace, places)),
      // What it gives up makes room when no one else of the namespace has it any more.
      ...(quotas.length === 0 ? [] : (holding?.current ?? []).map(LINE.parting)),
    ];
    const overQuota = quotas.length === 0 ? undefined : namespace;
    this.#list.put(key, createdAt, lines, { keys: [...keys], ports: portsOf(service), overQuota });
  }

  /** The Service waits no more. */
  drop(key: ServiceKey): void {
    this.#list.drop(key);
  }

  /** The pool came, went, or changed in what it may give; undefined: some pool did. */
  poolChanged(name: string | undefined): void {
    this.#list.open(LINE.pool(name));
  }

  /** Everybody, the oldest first. */
  all(): readonly ServiceKey[] {
    return this.#list.all();
  }

  /** Those of one namespace, the oldest first. */
  in(namespace: string): readonly ServiceKey[] {
    return this.#list.of(LINE.namespace(namespace));
  }

  /** Those who have a chance now which they had not when they were refused, oldest first; each is named once. */
  takeWakeable(): readonly ServiceKey[] {
    for (const address of this.#ledger.takeEased()) this.#eased(address);
    for (const { sharingKey, address, namespace, joins } of this.#ledger.sharing.takeBegun())
      this.#list.openSharing(sharingKey, this.#isFreeAt(address), joins ? namespace : undefined);
    for (const address of this.#ledger.sharing.takeParted()) this.#list.open(LINE.parting(address));
    for (const { pool, namespace } of this.#ledger.takeEasedQuotas()) this.#quotaEased(pool, namespace);
    return this.#list.takeOpen();
  }

  #eased(address: IpAddress): void {
    this.#list.open(LINE.address(address));
    const keys = this.#ledger.users(address).map((user) => this.#ledger.holding(user)?.sharingKey);
    for (const sharingKey of new Set(keys))
      if (sharingKey !== undefined) this.#list.openSharing(sharingKey, this.#isFreeAt(address));
    if (!this.#ledger.isFree(address)) return;
    for (const space of this.#ledger.pools.values())
      if (space.contains(address)) this.#list.open(LINE.freeAddress(space.pool.name, familyOf(address)));
  }

  #quotaEased(pool: string, namespace: string): void {
    const quota = this.#ledger.pools.get(pool)?.pool.serviceAllocation.quotaPerNamespace ?? 0;
    const room = quota - this.#ledger.usedIn(pool, namespace);
    for (const places of PLACES) if (places <= room) this.#list.open(LINE.quota(pool, namespace, places));
  }

  /** Whether nobody has a port at the address. Who waits is not counted: what he has there, and gives up, is not in his own way. */
  #isFreeAt(address: IpAddress): (port: string) => boolean {
    const others = this.#ledger
      .users(address)
      .flatMap((user) => (this.#list.has(user) ? [] : (this.#ledger.holding(user) ?? [])));
    return (port) => !others.some((other) => claims(other, port));
  }
}
