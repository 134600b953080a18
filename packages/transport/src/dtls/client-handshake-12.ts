import { type NamedGroup, bytesEqual, concatBytes } from '@lumamesh/base';
import { type CipherSuite, findCipherSuite } from './cipher-suite.ts';
import type { FlightPart } from './flight/flight.ts';
import {
  type ClientHandshakeOptions,
  type Handshake,
  type HandshakeStep,
  Transcript,
  WAIT,
  failed,
  unexpected,
} from './handshake.ts';
import { type TrafficKeys, extendedMasterSecret, trafficKeys, verifyData } from './key-schedule.ts';
import { ALERT } from './message/alert.ts';
import { decodeCertificate, encodeCertificate } from './message/certificate.ts';
import { decodeCertificateRequest } from './message/certificate-request.ts';
import { encodeCertificateVerify } from './message/certificate-verify.ts';
import { encodeClientKeyExchange } from './message/client-key-exchange.ts';
import { EXTENSION, SIGNATURE_ECDSA_SECP256R1_SHA256 } from './message/extensions.ts';
import {
  HANDSHAKE_TYPE,
  type HandshakeMessage,
  handshakeMessage,
} from './message/handshake-header.ts';
import { decodeServerHello } from './message/server-hello.ts';
import {
  type ServerKeyExchange,
  decodeServerKeyExchange,
  encodeEcdhParams,
} from './message/server-key-exchange.ts';
import { isMarkedDowngraded } from './downgrade.ts';
import { speaks13 } from './security-options.ts';
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
  | { readonly name: 'awaitServerHello' }
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
      readonly group: NamedGroup;
    }
  | { readonly name: 'done' };

export class ClientHandshake12 implements Handshake {
  readonly #options: ClientHandshakeOptions;
  readonly #records: RecordLayer;
  readonly #clientRandom: Uint8Array;
  readonly #transcript = new Transcript();
  readonly version = '1.2';
  readonly expectsFirstMessage = false;
  readonly mayStartAgain = false;
  #nextMessageSeq: number;
  #state: State = { name: 'awaitServerHello' };

  /** @param hello the ClientHello that this server answers */
  constructor(
    options: ClientHandshakeOptions,
    records: RecordLayer,
    clientRandom: Uint8Array,
    hello: HandshakeMessage,
  ) {
    this.#options = options;
    this.#records = records;
    this.#clientRandom = clientRandom;
    this.#transcript.add(hello);
    this.#nextMessageSeq = hello.messageSeq + 1;
  }

  get expectedEpoch(): number {
    return this.#state.name === 'awaitFinished' ? 1 : 0;
  }

  start(): HandshakeStep {
    return WAIT;
  }

  handleMessage(message: HandshakeMessage): HandshakeStep {
    const state = this.#state;
    if (message.epoch !== this.expectedEpoch) return failed(ALERT.unexpectedMessage, 'epoch');
    switch (state.name) {
      case 'done':
        return WAIT;
      case 'awaitServerHello':
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

  #handleServerHello(message: HandshakeMessage): HandshakeStep {
    const hello = decodeServerHello(message.body);
    if (!hello.ok) return failed(ALERT.decodeError, hello.drop);
    const suite = findCipherSuite(hello.value.cipherSuite);
    // RFC 8446 §4.1.3: "TLS 1.3 clients receiving a ServerHello indicating TLS 1.2 or below MUST
    // check that the last 8 bytes are not equal to either of these values."
    if (speaks13(this.#options) && isMarkedDowngraded(hello.value.random))
      return failed(ALERT.illegalParameter, 'downgrade');
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
    this.#records.installWriteKeys(1, keys.client);
    this.#records.installReadKeys(1, keys.server);
    const finished = verifyData(
      crypto,
      hash,
      masterSecret,
      'client',
      this.#transcript.hash(crypto, hash),
    );
    parts.push(
      { type: 'changeCipherSpec' },
      { type: 'message', message: this.#ownMessage(HANDSHAKE_TYPE.finished, finished, 1) },
    );
    this.#state = {
      name: 'awaitFinished',
      hello,
      remoteCertificate,
      masterSecret,
      group: keyExchange.group,
    };
    return { type: 'send', parts, acknowledgement: 'byReply' };
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
    return {
      type: 'connected',
      parts: [],
      remoteCertificate: state.remoteCertificate,
      negotiated: {
        version: '1.2',
        cipherSuite: state.hello.suite.name,
        group: state.group,
      },
      traffic: null,
    };
  }

  #ownMessage(type: number, body: Uint8Array, epoch = 0): HandshakeMessage {
    const message = handshakeMessage(type, this.#nextMessageSeq, body, epoch);
    this.#nextMessageSeq += 1;
    this.#transcript.add(message);
    return message;
  }
}
