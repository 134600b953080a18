import { type SyncCrypto, bytesEqual, concatBytes } from '@lumamesh/base';
import { type CipherSuite, findCipherSuite } from './cipher-suite.ts';
import type { FlightPart } from './flight/flight.ts';
import {
  type Handshake,
  type HandshakeStep,
  type LocalCertificate,
  Transcript,
  WAIT,
  failed,
} from './handshake.ts';
import { type TrafficKeys, extendedMasterSecret, trafficKeys, verifyData } from './key-schedule.ts';
import { ALERT } from './message/alert.ts';
import { decodeCertificate, encodeCertificate } from './message/certificate.ts';
import { decodeCertificateRequest } from './message/certificate-request.ts';
import { encodeCertificateVerify } from './message/certificate-verify.ts';
import { RANDOM_BYTES } from './message/client-hello.ts';
import { encodeClientKeyExchange } from './message/client-key-exchange.ts';
import { EXTENSION, SIGNATURE_ECDSA_SECP256R1_SHA256 } from './message/extensions.ts';
import {
  HANDSHAKE_TYPE,
  type HandshakeMessage,
  handshakeMessage,
} from './message/handshake-header.ts';
import { encodeOwnClientHello } from './own-client-hello.ts';
import { decodeHelloVerifyRequest } from './message/hello-verify-request.ts';
import { decodeServerHello } from './message/server-hello.ts';
import {
  type ServerKeyExchange,
  decodeServerKeyExchange,
  encodeEcdhParams,
} from './message/server-key-exchange.ts';
import type { RecordLayer } from './record/record-layer.ts';
import { VERSION_DTLS_1_2 } from './record/record.ts';

/*
 * The client's side of the handshake drawn in server-handshake-12.ts. The server is who its
 * certificate's fingerprint says (RFC 8122 §5); names, validity dates and authorities mean nothing
 * here (RFC 8827 §6.5).
 */

interface Hello {
  readonly suite: CipherSuite;
  readonly serverRandom: Uint8Array;
}

type State =
  | { readonly name: 'start' }
  /** `cookieTaken` ends the exchange after one HelloVerifyRequest. */
  | { readonly name: 'awaitServerHello'; readonly cookieTaken: boolean }
  | { readonly name: 'awaitCertificate'; readonly hello: Hello }
  | {
      readonly name: 'awaitServerKeyExchange';
      readonly hello: Hello;
      readonly remoteCertificate: Uint8Array;
    }
  | {
      readonly name: 'awaitServerHelloDone';
      readonly hello: Hello;
      readonly remoteCertificate: Uint8Array;
      readonly keyExchange: ServerKeyExchange;
      readonly certificateRequested: boolean;
    }
  | {
      readonly name: 'awaitFinished';
      readonly hello: Hello;
      readonly remoteCertificate: Uint8Array;
      readonly masterSecret: Uint8Array;
    }
  | { readonly name: 'done' };

export interface ClientHandshakeOptions {
  readonly crypto: SyncCrypto;
  /** SHA-256 of the server's certificate, 32 bytes. */
  readonly remoteFingerprint: Uint8Array;
  /** Shown when the server asks for one. */
  readonly certificate: LocalCertificate | null;
}

export class ClientHandshake12 implements Handshake {
  readonly #options: ClientHandshakeOptions;
  readonly #records: RecordLayer;
  readonly #clientRandom: Uint8Array;
  readonly #transcript = new Transcript();
  #nextMessageSeq = 0;
  #state: State = { name: 'start' };
  readonly expectsFirstMessage = false;
  readonly mayStartAgain = false;

  constructor(options: ClientHandshakeOptions, records: RecordLayer) {
    this.#options = options;
    this.#records = records;
    this.#clientRandom = options.crypto.randomBytes(RANDOM_BYTES);
  }

  get expectsProtected(): boolean {
    return this.#state.name === 'awaitFinished';
  }

  start(): HandshakeStep {
    this.#state = { name: 'awaitServerHello', cookieTaken: false };
    return this.#sendClientHello(new Uint8Array(0));
  }

  handleMessage(message: HandshakeMessage): HandshakeStep {
    const state = this.#state;
    if (message.isProtected !== this.expectsProtected)
      return failed(ALERT.unexpectedMessage, 'epoch');
    switch (state.name) {
      case 'start':
      case 'done':
        return WAIT;
      case 'awaitServerHello':
        if (message.type === HANDSHAKE_TYPE.helloVerifyRequest && !state.cookieTaken)
          return this.#handleHelloVerifyRequest(message);
        return message.type === HANDSHAKE_TYPE.serverHello
          ? this.#handleServerHello(message)
          : unexpected();
      case 'awaitCertificate':
        return message.type === HANDSHAKE_TYPE.certificate
          ? this.#handleCertificate(message, state.hello)
          : unexpected();
      case 'awaitServerKeyExchange':
        return message.type === HANDSHAKE_TYPE.serverKeyExchange
          ? this.#handleServerKeyExchange(message, state)
          : unexpected();
      case 'awaitServerHelloDone':
        if (message.type === HANDSHAKE_TYPE.certificateRequest && !state.certificateRequested)
          return this.#handleCertificateRequest(message, state);
        return message.type === HANDSHAKE_TYPE.serverHelloDone
          ? this.#handleServerHelloDone(message, state)
          : unexpected();
      case 'awaitFinished':
        return message.type === HANDSHAKE_TYPE.finished
          ? this.#handleFinished(message, state)
          : unexpected();
    }
  }

  #sendClientHello(cookie: Uint8Array): HandshakeStep {
    const body = encodeOwnClientHello(this.#clientRandom, cookie);
    const message = this.#ownMessage(HANDSHAKE_TYPE.clientHello, body);
    return { type: 'send', parts: [{ type: 'message', message }] };
  }

  #handleHelloVerifyRequest(message: HandshakeMessage): HandshakeStep {
    const cookie = decodeHelloVerifyRequest(message.body);
    if (!cookie.ok) return failed(ALERT.decodeError, cookie.drop);
    // RFC 6347 §4.2.6: the first ClientHello and HelloVerifyRequest are not hashed. §4.2.1: the
    // second one repeats the random.
    this.#transcript.reset();
    this.#state = { name: 'awaitServerHello', cookieTaken: true };
    return this.#sendClientHello(cookie.value);
  }

  #handleServerHello(message: HandshakeMessage): HandshakeStep {
    const hello = decodeServerHello(message.body);
    if (!hello.ok) return failed(ALERT.decodeError, hello.drop);
    const suite = findCipherSuite(hello.value.cipherSuite);
    if (hello.value.version !== VERSION_DTLS_1_2)
      return failed(ALERT.protocolVersion, 'noCommonVersion');
    if (suite === null) return failed(ALERT.illegalParameter, 'noCommonCipherSuite');
    if (hello.value.extensions.get(EXTENSION.extendedMasterSecret)?.length !== 0)
      return failed(ALERT.handshakeFailure, 'noExtendedMasterSecret');
    this.#transcript.add(message);
    this.#state = {
      name: 'awaitCertificate',
      hello: { suite, serverRandom: hello.value.random.slice() },
    };
    return WAIT;
  }

  #handleCertificate(message: HandshakeMessage, hello: Hello): HandshakeStep {
    const chain = decodeCertificate(message.body);
    if (!chain.ok) return failed(ALERT.decodeError, chain.drop);
    const [remoteCertificate] = chain.value;
    if (remoteCertificate === undefined) return failed(ALERT.badCertificate, 'noCertificate');
    if (
      !bytesEqual(
        this.#options.crypto.hash('sha256', remoteCertificate),
        this.#options.remoteFingerprint,
      )
    ) {
      return failed(ALERT.badCertificate, 'certificateFingerprint');
    }
    this.#transcript.add(message);
    this.#state = {
      name: 'awaitServerKeyExchange',
      hello,
      remoteCertificate: remoteCertificate.slice(),
    };
    return WAIT;
  }

  #handleServerKeyExchange(
    message: HandshakeMessage,
    state: Extract<State, { name: 'awaitServerKeyExchange' }>,
  ): HandshakeStep {
    const result = decodeServerKeyExchange(message.body);
    if (!result.ok) return failed(ALERT.decodeError, result.drop);
    const { group, publicKey, signed } = result.value;
    const covered = concatBytes([
      this.#clientRandom,
      state.hello.serverRandom,
      encodeEcdhParams(group, publicKey),
    ]);
    const isValid =
      signed.algorithm === SIGNATURE_ECDSA_SECP256R1_SHA256 &&
      this.#options.crypto.verifyWithCertificate(
        state.remoteCertificate,
        covered,
        signed.signature,
      );
    if (!isValid) return failed(ALERT.decryptError, 'serverKeyExchange');
    this.#transcript.add(message);
    this.#state = {
      ...state,
      name: 'awaitServerHelloDone',
      keyExchange: result.value,
      certificateRequested: false,
    };
    return WAIT;
  }

  #handleCertificateRequest(
    message: HandshakeMessage,
    state: Extract<State, { name: 'awaitServerHelloDone' }>,
  ): HandshakeStep {
    const request = decodeCertificateRequest(message.body);
    if (!request.ok) return failed(ALERT.decodeError, request.drop);
    this.#transcript.add(message);
    this.#state = { ...state, certificateRequested: true };
    return WAIT;
  }

  #handleServerHelloDone(
    message: HandshakeMessage,
    state: Extract<State, { name: 'awaitServerHelloDone' }>,
  ): HandshakeStep {
    if (message.body.length !== 0)
      return failed(ALERT.decodeError, 'dtls.serverHelloDone.malformed');
    const { crypto, certificate } = this.#options;
    const { hello, remoteCertificate, keyExchange } = state;
    this.#transcript.add(message);
    const keyShare = crypto.generateKeyShare(keyExchange.group);
    const premasterSecret = keyShare.derive(keyExchange.publicKey);
    if (premasterSecret === null) return failed(ALERT.illegalParameter, 'keyShare');

    const parts: FlightPart[] = [];
    const add = (type: number, body: Uint8Array): void => {
      parts.push({ type: 'message', message: this.#ownMessage(type, body) });
    };
    if (state.certificateRequested)
      add(
        HANDSHAKE_TYPE.certificate,
        encodeCertificate(certificate === null ? [] : [certificate.der]),
      );
    add(HANDSHAKE_TYPE.clientKeyExchange, encodeClientKeyExchange(keyShare.publicKey));
    const hash = hello.suite.prfHash;
    const masterSecret = extendedMasterSecret(
      crypto,
      hash,
      premasterSecret,
      this.#transcript.hash(crypto, hash),
    );
    if (state.certificateRequested && certificate !== null) {
      const signature = crypto.signEcdsaP256(certificate.privateKey, this.#transcript.bytes());
      add(
        HANDSHAKE_TYPE.certificateVerify,
        encodeCertificateVerify({ algorithm: SIGNATURE_ECDSA_SECP256R1_SHA256, signature }),
      );
    }
    const keys: TrafficKeys = trafficKeys(
      crypto,
      hello.suite,
      masterSecret,
      this.#clientRandom,
      hello.serverRandom,
    );
    this.#records.installWriteKeys(keys.client);
    this.#records.installReadKeys(keys.server);
    const finished = verifyData(
      crypto,
      hash,
      masterSecret,
      'client',
      this.#transcript.hash(crypto, hash),
    );
    parts.push(
      { type: 'changeCipherSpec' },
      { type: 'protectedMessage', message: this.#ownMessage(HANDSHAKE_TYPE.finished, finished) },
    );
    this.#state = { name: 'awaitFinished', hello, remoteCertificate, masterSecret };
    return { type: 'send', parts };
  }

  #handleFinished(
    message: HandshakeMessage,
    state: Extract<State, { name: 'awaitFinished' }>,
  ): HandshakeStep {
    const { crypto } = this.#options;
    const hash = state.hello.suite.prfHash;
    const expected = verifyData(
      crypto,
      hash,
      state.masterSecret,
      'server',
      this.#transcript.hash(crypto, hash),
    );
    if (!bytesEqual(expected, message.body)) return failed(ALERT.decryptError, 'finished');
    this.#transcript.reset();
    this.#state = { name: 'done' };
    return { type: 'connected', parts: [], remoteCertificate: state.remoteCertificate };
  }

  #ownMessage(type: number, body: Uint8Array): HandshakeMessage {
    const message = handshakeMessage(type, this.#nextMessageSeq, body);
    this.#nextMessageSeq += 1;
    this.#transcript.add(message);
    return message;
  }
}

function unexpected(): HandshakeStep {
  return failed(ALERT.unexpectedMessage, 'unexpectedMessage');
}
