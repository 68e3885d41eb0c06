import type { AddressBook } from '../core/address-book.ts';
import type { Clock } from './ports.ts';

export interface HeldAddressesOptions {
  readonly clock: Clock;
  readonly book: AddressBook;
  /** Held addresses of these pools have come free. */
  readonly onExpired: (pools: ReadonlySet<string>) => void;
}

/** The longest delay that a timer takes; a later moment is waited for in steps. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Lets held addresses go when their time has come. */
export class HeldAddresses {
  readonly #options: HeldAddressesOptions;
  #due: number | undefined;
  #cancel: (() => void) | undefined;

  constructor(options: HeldAddressesOptions) {
    this.#options = options;
  }

  /** To be called whenever an address may have been held. */
  watch(): void {
    const { book, clock } = this.#options;
    const due = book.held.nextExpiry();
    if (due === this.#due) return;
    this.stop();
    if (due === undefined) return;
    this.#due = due;
    const delay = Math.min(LONGEST_TIMER_MS, Math.max(0, due - clock.now()));
    this.#cancel = clock.schedule(delay, () => this.#expire());
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#due = undefined;
  }

  #expire(): void {
    const { book, clock, onExpired } = this.#options;
    this.#due = undefined;
    const pools = book.held.expire(clock.now());
    if (pools.size > 0) onExpired(pools);
    this.watch();
  }
}
