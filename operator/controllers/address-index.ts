import type { IpAddress } from '../model/ip-address.ts';
import type { ServiceKey } from '../model/load-balanced-service.ts';

const NONE: ReadonlySet<ServiceKey> = new Set();

/** Services, each with some addresses, found from either side. */
export class AddressIndex {
  readonly #addresses = new Map<ServiceKey, ReadonlySet<IpAddress>>();
  readonly #services = new Map<IpAddress, Set<ServiceKey>>();

  get size(): number {
    return this.#addresses.size;
  }

  has(service: ServiceKey): boolean {
    return this.#addresses.has(service);
  }

  services(): Iterable<ServiceKey> {
    return this.#addresses.keys();
  }

  /** The addresses of a Service; undefined when it is not here. */
  addressesOf(service: ServiceKey): ReadonlySet<IpAddress> | undefined {
    return this.#addresses.get(service);
  }

  /** The Services with this address. */
  at(address: IpAddress): ReadonlySet<ServiceKey> {
    return this.#services.get(address) ?? NONE;
  }

  /** These are the addresses of the Service from now on; there may be none. */
  set(service: ServiceKey, addresses: ReadonlySet<IpAddress>): void {
    this.delete(service);
    this.#addresses.set(service, addresses);
    for (const address of addresses) {
      const services = this.#services.get(address) ?? new Set();
      this.#services.set(address, services.add(service));
    }
  }

  /** @returns true when the Service was here. */
  delete(service: ServiceKey): boolean {
    for (const address of this.#addresses.get(service) ?? []) {
      const services = this.#services.get(address);
      services?.delete(service);
      if (services?.size === 0) this.#services.delete(address);
    }
    return this.#addresses.delete(service);
  }
}
