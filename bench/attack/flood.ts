import type { SignedRelayRecord } from '@lumamesh/protocol';
import { Stub, socketAt } from './stub.ts';

/* What attackers have in common: one address, and how much may come from it. */
export const FROM = '127.2.0.1';
const PACKETS_PER_SECOND = 20_000;
const BYTES_PER_SECOND = 1_250_000;
const TURN_MS = 5;

export interface Attack {
  /** What is attacked, in a line of the table. */
  readonly what: string;
  /** Settings of the relay besides: what is off by default is attacked where it is on. */
  readonly environment?: Readonly<Record<string, string>>;
  /** What the honest ones show a relay that is private; then some newcomers are of the attacker's network. */
  readonly token?: string;
  /** Of the line to the relay, each way, where that is what is attacked. */
  readonly linkMbits?: number;
  run(record: SignedRelayRecord, honest: readonly string[]): Promise<void>;
}

/** Calls `send`, which returns the bytes that it has sent, as often as the bounds allow. */
export function flood(send: (i: number) => number): void {
  let [packets, bytes, i] = [0, 0, 0];
  const startedAt = performance.now();
  setInterval(() => {
    const seconds = (performance.now() - startedAt) / 1000;
    // Whoever could not keep up does not make up for it.
    for (let burst = 0; burst < 400; burst++) {
      if (packets >= seconds * PACKETS_PER_SECOND || bytes >= seconds * BYTES_PER_SECOND) return;
      packets += 1;
      bytes += send(i++);
    }
  }, TURN_MS);
}

export async function floodFrom(
  record: SignedRelayRecord,
  make: (i: number) => Uint8Array,
  sockets = 16,
): Promise<void> {
  const open = await Promise.all(Array.from({ length: sockets }, async () => socketAt(FROM)));
  flood((i) => {
    const datagram = make(i);
    open[i % open.length]?.send(datagram, record.port, record.ip);
    return datagram.length;
  });
}

/** Members who are there: connected and welcomed. */
export async function members(
  record: SignedRelayRecord,
  count: number,
  onFrame?: (frame: string, stub: Stub) => void,
  fromOf: (i: number) => string = () => FROM,
): Promise<Stub[]> {
  const stubs = await Promise.all(
    Array.from({ length: count }, async (_, i) =>
      Stub.open(record, {
        from: fromOf(i),
        ...(onFrame && { onFrame }),
      }),
    ),
  );
  for (let i = 0; i < 100 && stubs.some(({ isConnected }) => !isConnected); i++)
    await new Promise((resolve) => setTimeout(resolve, 50));
  return stubs;
}
