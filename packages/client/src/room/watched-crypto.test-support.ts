import type { WebCrypto } from '@lumamesh/protocol';

export interface WatchedCrypto {
  readonly web: WebCrypto;
  /** How often `decrypt` was asked for. */
  readonly opened: number;
  /** Until nothing is under way, nor follows from what was. */
  readonly settle: () => Promise<void>;
}

/** WebCrypto works in threads of its own: how many calls are under way tells when all is at rest. */
export function watchCrypto(): WatchedCrypto {
  let underWay = 0;
  let opened = 0;
  const subtle = new Proxy(crypto.subtle, {
    get:
      (target, name: keyof SubtleCrypto) =>
      async (...values: readonly unknown[]): Promise<unknown> => {
        underWay += 1;
        if (name === 'decrypt') opened += 1;
        try {
          const call = target[name] as (...all: readonly unknown[]) => Promise<unknown>;
          return await call.apply(target, values as unknown[]);
        } finally {
          underWay -= 1;
        }
      },
  });
  const getRandomValues = (bytes: Uint8Array<ArrayBuffer>) => crypto.getRandomValues(bytes);
  return {
    web: { subtle, getRandomValues } as unknown as WebCrypto,
    get opened() {
      return opened;
    },
    async settle() {
      for (let calm = 0; calm < 5; calm = underWay === 0 ? calm + 1 : 0)
        await new Promise((resolve) => setImmediate(resolve));
    },
  };
}
