import type { Net, NetStatus } from '../index.ts';

/* By net, for all components: there is nothing else that they have in common. */
const stores = new WeakMap<Net, NetStore>();

/** The status of a net as React wants it: the same object until something changes. */
export class NetStore {
  readonly #net: Net;
  readonly #subscribers = new Set<() => void>();
  #status: NetStatus;
  #stop = (): void => undefined;

  constructor(net: Net) {
    this.#net = net;
    this.#status = net.status;
  }

  static of(net: Net): NetStore {
    const known = stores.get(net);
    const store = known ?? new NetStore(net);
    if (known === undefined) stores.set(net, store);
    return store;
  }

  /** For useSyncExternalStore, which looks once more after it has subscribed. */
  readonly subscribe = (onChange: () => void): (() => void) => {
    if (this.#subscribers.size === 0) {
      this.#status = this.#net.status;
      this.#stop = this.#net.on('status', (status) => {
        this.#status = status;
        for (const subscriber of [...this.#subscribers]) subscriber();
      });
    }
    this.#subscribers.add(onChange);
    return () => {
      this.#subscribers.delete(onChange);
      if (this.#subscribers.size === 0) this.#stop();
    };
  };

  readonly status = (): NetStatus => this.#status;
}
