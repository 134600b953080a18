import { ByteReader, EMPTY_BYTES, type KeyShare, type NamedGroup } from '@lumamesh/base';
import { type CipherSuite13, CIPHER_SUITES_13 } from './cipher-suite-13.ts';
import { ClientHandshake12 } from './client-handshake-12.ts';
import { ClientHandshake13 } from './client-handshake-13.ts';
import {
  type ClientHandshakeOptions,
  type Handshake,
  type HandshakeStep,
  failed,
  unexpected,
} from './handshake.ts';
import { ALERT } from './message/alert.ts';
import { RANDOM_BYTES } from './message/client-hello.ts';
import { EXTENSION, namedGroupById } from './message/extensions.ts';
import {
  HANDSHAKE_TYPE,
  type HandshakeMessage,
  handshakeMessage,
} from './message/handshake-header.ts';
import { decodeHelloVerifyRequest } from './message/hello-verify-request.ts';
import { type ServerHello, decodeServerHello } from './message/server-hello.ts';
import { encodeOwnClientHello } from './own-client-hello.ts';
import { VERSION_DTLS_1_3 } from './record/record.ts';
import type { RecordLayer } from './record/record-layer.ts';
import { helloHash, isRetryRequest, readCookie } from './retry-request.ts';
import { type DtlsVersion, groupsOf, speaks13 } from './security-options.ts';
import { Transcript13 } from './transcript-13.ts';

/*
 * The client's side until a ServerHello has chosen the version:
 *
 *   ClientHello ──▶                                  awaitServerHello
 *      ◀── HelloVerifyRequest (1.2), once: the same with its cookie
 *      ◀── HelloRetryRequest (1.3), once: the same with its cookie, or another key share
 *      ◀── ServerHello ──▶ client-handshake-12.ts or client-handshake-13.ts
 */
export class ClientHandshake implements Handshake {
  readonly expectsFirstMessage = false;
  readonly mayStartAgain = false;
  readonly #options: ClientHandshakeOptions;
  readonly #records: RecordLayer;
  readonly #random: Uint8Array;
  readonly #groups: readonly NamedGroup[];
  readonly #transcript13 = new Transcript13();
  #shares: readonly KeyShare[] = [];
  #legacyCookie: Uint8Array = EMPTY_BYTES;
  #cookie: Uint8Array | null = null;
  #hello: HandshakeMessage | null = null;
  /** Of the HelloRetryRequest, which the ServerHello must keep to. */
  #retriedWith: CipherSuite13 | null = null;
  #chosen: ClientHandshake12 | ClientHandshake13 | null = null;

  constructor(options: ClientHandshakeOptions, records: RecordLayer) {
    this.#options = options;
    this.#records = records;
    this.#random = options.crypto.randomBytes(RANDOM_BYTES);
    this.#groups = speaks13(options) ? groupsOf(options) : [];
  }

  get version(): DtlsVersion | null {
    return this.#chosen?.version ?? null;
  }

  get expectedEpoch(): number {
    return this.#chosen?.expectedEpoch ?? 0;
  }

  start(): HandshakeStep {
    const { crypto } = this.#options;
    // As browsers do: the preferred one, and X25519, which everybody has.
    const [preferred] = this.#groups;
    const offered = this.#groups.filter((group) => group === preferred || group === 'x25519');
    this.#shares = offered.map((group) => crypto.generateKeyShare(group));
    return this.#sendHello(0);
  }

  handleMessage(message: HandshakeMessage): HandshakeStep {
    if (this.#chosen !== null) return this.#chosen.handleMessage(message);
    if (message.epoch !== 0) return unexpected();
    switch (message.type) {
      case HANDSHAKE_TYPE.helloVerifyRequest:
        return this.#handleHelloVerifyRequest(message);
      case HANDSHAKE_TYPE.serverHello:
        return this.#handleServerHello(message);
      default:
        return unexpected();
    }
  }

  get #wasAskedAgain(): boolean {
    return this.#retriedWith !== null || this.#legacyCookie.length > 0;
  }

  #sendHello(messageSeq: number): HandshakeStep {
    const offer13 =
      this.#groups.length === 0
        ? null
        : { groups: this.#groups, shares: this.#shares, cookie: this.#cookie };
    const body = encodeOwnClientHello({
      random: this.#random,
      legacyCookie: this.#legacyCookie,
      offer13,
    });
    const message = handshakeMessage(HANDSHAKE_TYPE.clientHello, messageSeq, body);
    this.#hello = message;
    return { type: 'send', parts: [{ type: 'message', message }], acknowledgement: 'byReply' };
  }

  #handleHelloVerifyRequest(message: HandshakeMessage): HandshakeStep {
    if (this.#wasAskedAgain || this.#hello === null) return unexpected();
    const cookie = decodeHelloVerifyRequest(message.body);
    if (!cookie.ok) return failed(ALERT.decodeError, cookie.drop);
    // RFC 6347 §4.2.1: the second ClientHello repeats the random. §4.2.6: the first one and the
    // HelloVerifyRequest are not hashed.
    this.#legacyCookie = cookie.value.slice();
    return this.#sendHello(this.#hello.messageSeq + 1);
  }

  #handleServerHello(message: HandshakeMessage): HandshakeStep {
    const own = this.#hello;
    if (own === null) return unexpected();
    const hello = decodeServerHello(message.body);
    if (!hello.ok) return failed(ALERT.decodeError, hello.drop);
    const version = hello.value.extensions.get(EXTENSION.supportedVersions);
    if (version === undefined && this.#retriedWith === null) {
      if (isRetryRequest(hello.value)) return failed(ALERT.missingExtension, 'retryRequest');
      this.#chosen = new ClientHandshake12(this.#options, this.#records, this.#random, own);
      this.#shares = [];
      return this.#chosen.handleMessage(message);
    }
    if (version === undefined || new ByteReader(version).uint16() !== VERSION_DTLS_1_3)
      return failed(ALERT.illegalParameter, 'version');
    // RFC 9147 §5.3: only a server of DTLS 1.2 sends a cookie that goes there.
    if (this.#groups.length === 0 || this.#legacyCookie.length > 0)
      return failed(ALERT.illegalParameter, 'version');
    const suite = CIPHER_SUITES_13.find(({ id }) => id === hello.value.cipherSuite);
    if (suite === undefined || (this.#retriedWith !== null && suite !== this.#retriedWith))
      return failed(ALERT.illegalParameter, 'cipherSuite');
    if (isRetryRequest(hello.value)) return this.#handleRetryRequest(message, hello.value, suite);
    this.#transcript13.add(own);
    this.#chosen = new ClientHandshake13(this.#options, this.#records, {
      suite,
      shares: this.#shares,
      transcript: this.#transcript13,
      nextMessageSeq: own.messageSeq + 1,
    });
    this.#shares = [];
    return this.#chosen.handleMessage(message);
  }

  #handleRetryRequest(
    message: HandshakeMessage,
    hello: ServerHello,
    suite: CipherSuite13,
  ): HandshakeStep {
    // RFC 8446 §4.1.4: a second one ends the handshake.
    if (this.#wasAskedAgain || this.#hello === null) return unexpected();
    const { crypto } = this.#options;
    const cookie = hello.extensions.get(EXTENSION.cookie);
    const keyShare = hello.extensions.get(EXTENSION.keyShare);
    // "Clients MUST abort the handshake … if the HelloRetryRequest would not result in any change".
    if (cookie === undefined && keyShare === undefined)
      return failed(ALERT.illegalParameter, 'retryRequest');
    if (cookie !== undefined) {
      const value = readCookie(cookie);
      if (value === null) return failed(ALERT.decodeError, 'cookie');
      this.#cookie = value.slice();
    }
    if (keyShare !== undefined) {
      const reader = new ByteReader(keyShare);
      const group = namedGroupById(reader.uint16());
      const isNew =
        reader.done &&
        group !== null &&
        this.#groups.includes(group) &&
        !this.#shares.some((share) => share.group === group);
      // §4.2.8: a group that we offered, and no share of yet.
      if (!isNew) return failed(ALERT.illegalParameter, 'retryRequest');
      this.#shares = [crypto.generateKeyShare(group)];
    }
    this.#retriedWith = suite;
    this.#transcript13.startWithHashOf(helloHash(crypto, suite.hash, this.#hello.body));
    this.#transcript13.add(message);
    return this.#sendHello(this.#hello.messageSeq + 1);
  }
}
