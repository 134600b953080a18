import { chooseCipherSuite13 } from './cipher-suite-13.ts';
import { offersDtls13 } from './client-hello-offer-13.ts';
import {
  type Handshake,
  type HandshakeStep,
  type ServerHandshakeOptions,
  WAIT,
  failed,
  unexpected,
} from './handshake.ts';
import { ALERT } from './message/alert.ts';
import { decodeClientHello } from './message/client-hello.ts';
import { HANDSHAKE_TYPE, type HandshakeMessage } from './message/handshake-header.ts';
import type { RecordLayer } from './record/record-layer.ts';
import { type DtlsVersion, speaks13 } from './security-options.ts';
import { ServerHandshake12 } from './server-handshake-12.ts';
import { ServerHandshake13 } from './server-handshake-13.ts';

/** The server's side until a ClientHello has chosen the version, and of that version from then on. */
export class ServerHandshake implements Handshake {
  readonly #options: ServerHandshakeOptions;
  readonly #records: RecordLayer;
  #chosen: ServerHandshake12 | ServerHandshake13 | null = null;

  constructor(options: ServerHandshakeOptions, records: RecordLayer) {
    this.#options = options;
    this.#records = records;
  }

  get version(): DtlsVersion | null {
    return this.#chosen?.version ?? null;
  }

  get expectedEpoch(): number {
    return this.#chosen?.expectedEpoch ?? 0;
  }

  get expectsFirstMessage(): boolean {
    return this.#chosen === null;
  }

  get mayStartAgain(): boolean {
    return this.#chosen?.mayStartAgain ?? false;
  }

  start(): HandshakeStep {
    return WAIT;
  }

  handleMessage(message: HandshakeMessage): HandshakeStep {
    if (this.#chosen === null) {
      if (message.type !== HANDSHAKE_TYPE.clientHello || message.epoch !== 0) return unexpected();
      const hello = decodeClientHello(message.body);
      if (!hello.ok) return failed(ALERT.decodeError, hello.drop);
      // Who offers 1.3 and no cipher suite of it has 1.2 all the same.
      const is13 =
        speaks13(this.#options) &&
        offersDtls13(hello.value) &&
        chooseCipherSuite13(hello.value.cipherSuites) !== null;
      this.#chosen = is13
        ? new ServerHandshake13(this.#options, this.#records, hello.value)
        : new ServerHandshake12(this.#options, this.#records);
    }
    return this.#chosen.handleMessage(message);
  }
}
