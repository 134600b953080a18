import { type Instant, instant } from '@lumamesh/base';
import { endpointOptions, testCrypto } from '@lumamesh/testkit';
import { DtlsConnection } from './dtls-connection.ts';
import type { DtlsEvent } from './dtls-types.ts';
import type { SecurityOptions } from './security-options.ts';

/** Two connections and the datagrams between them, without the layers above. */
export class Wire {
  now: Instant = instant(0);
  readonly server: DtlsConnection;
  readonly client: DtlsConnection;
  readonly events: { readonly side: 'client' | 'server'; readonly event: DtlsEvent }[] = [];
  /** What is on its way; `lose` decides what does not arrive. */
  lose: (from: 'client' | 'server', data: Uint8Array) => boolean = () => false;
  readonly sent: { readonly from: 'client' | 'server'; readonly data: Uint8Array }[] = [];

  /** Changes datagrams on their way, as somebody on the path may: into none, one or several. */
  change: (from: 'client' | 'server', data: Uint8Array) => readonly Uint8Array[] = (_, data) => [
    data,
  ];

  constructor(
    keyUpdateAfterRecords = 2 ** 23,
    security: { readonly client?: SecurityOptions; readonly server?: SecurityOptions } = {},
  ) {
    const { certificate, requestClientCertificate } = endpointOptions();
    const common = { maxDatagramBytes: 1200, keyUpdateAfterRecords };
    this.server = DtlsConnection.server({
      ...common,
      ...security.server,
      crypto: testCrypto(1),
      certificate,
      requestClientCertificate,
    });
    const crypto = testCrypto(2);
    this.client = DtlsConnection.client(this.now, {
      ...common,
      ...security.client,
      crypto,
      remoteFingerprint: crypto.hash('sha256', certificate.der),
      certificate: null,
    });
  }

  /** Until nobody has anything to say, in so many milliseconds of time. */
  run(ms: number): this {
    for (const end = this.now + ms; ;) {
      this.#pass();
      const deadlines = [this.client.deadline, this.server.deadline].filter((at) => at !== null);
      const next = Math.min(end, ...deadlines);
      if (next >= end) {
        this.now = instant(end);
        return this;
      }
      this.now = instant(Math.max(this.now, next));
      for (const side of [this.client, this.server]) side.handleTimeout(this.now);
    }
  }

  #pass(): void {
    for (let isBusy = true; isBusy;) {
      isBusy = false;
      for (const who of ['client', 'server'] as const) {
        for (let out = this[who].poll(); out !== null; out = this[who].poll()) {
          isBusy = true;
          if (out.type !== 'transmit') this.events.push({ side: who, event: out });
          else {
            this.sent.push({ from: who, data: out.data });
            if (this.lose(who, out.data)) continue;
            const to = who === 'client' ? this.server : this.client;
            for (const data of this.change(who, out.data)) to.handleDatagram(this.now, data);
          }
        }
      }
    }
  }

  data(who: 'client' | 'server'): number[] {
    return this.events.flatMap(({ side, event }) =>
      side === who && event.type === 'data' ? [event.data[0] ?? -1] : [],
    );
  }

  has(who: 'client' | 'server', type: DtlsEvent['type']): boolean {
    return this.events.some(({ side, event }) => side === who && event.type === type);
  }

  /** Why a side ended, or `null` while it has not. */
  ended(who: 'client' | 'server'): string | null {
    for (const { side, event } of this.events)
      if (side === who && event.type === 'closed') return `${event.reason}: ${event.detail}`;
    return null;
  }
}
