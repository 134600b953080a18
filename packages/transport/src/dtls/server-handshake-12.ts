import { type KeyShare, bytesEqual, concatBytes } from '@lumamesh/base';
import { type Negotiated, negotiate } from './client-hello-offer.ts';
import type { FlightPart } from './flight/flight.ts';
import {
  type Handshake,
  type HandshakeStep,
  type ServerHandshakeOptions,
  Transcript,
  WAIT,
  failed,
  unexpected,
} from './handshake.ts';
import { extendedMasterSecret, trafficKeys, verifyData } from './key-schedule.ts';
import { ALERT } from './message/alert.ts';
import { decodeCertificate, encodeCertificate } from './message/certificate.ts';
import { encodeCertificateRequest } from './message/certificate-request.ts';
import { decodeCertificateVerify } from './message/certificate-verify.ts';
import { RANDOM_BYTES, decodeClientHello } from './message/client-hello.ts';
import { decodeClientKeyExchange } from './message/client-key-exchange.ts';
import { SIGNATURE_ECDSA_SECP256R1_SHA256 } from './message/extensions.ts';
import {
  HANDSHAKE_TYPE,
  type HandshakeMessage,
  handshakeMessage,
} from './message/handshake-header.ts';
import { encodeServerHello } from './message/server-hello.ts';
import { encodeEcdhParams, encodeServerKeyExchange } from './message/server-key-exchange.ts';
import { markDowngrade } from './downgrade.ts';
import type { RecordLayer } from './record/record-layer.ts';
import { speaks13 } from './security-options.ts';
import { VERSION_DTLS_1_2 } from './record/record.ts';
import { answerExtensions } from './server-extensions.ts';

/** A key pair and a signature each: nothing else bounds what ClientHellos of new numbers cost. */
const MAX_STARTS_AGAIN = 2;

/*
 * The server's side of a full DTLS 1.2 handshake (RFC 6347 §4.2.4, figure 1; RFC 5246 §7.3):
 *
 *   Client                                   Server
 *   ClientHello                 ─────────▶                       awaitClientHello
 *                               ◀─────────   ServerHello, Certificate, ServerKeyExchange,
 *                                            [CertificateRequest], ServerHelloDone
 *   [Certificate]               ─────────▶                       awaitCertificate   (only when requested)
 *   ClientKeyExchange           ─────────▶                       awaitClientKeyExchange
 *   [CertificateVerify]         ─────────▶                       awaitCertificateVerify (only after a certificate)
 *   [ChangeCipherSpec] Finished ─────────▶                       awaitFinished
 *                               ◀─────────   [ChangeCipherSpec] Finished
 *
 * The cookie exchange that may go before is stateless and stands in cookie-gate.ts.
 */
interface Offer {
  readonly negotiated: Negotiated;
  readonly keyShare: KeyShare;
  readonly clientRandom: Uint8Array;
  readonly serverRandom: Uint8Array;
  readonly nextMessageSeq: number;
}

interface Keyed {
  readonly masterSecret: Uint8Array;
  readonly negotiated: Negotiated;
  readonly nextMessageSeq: number;
  readonly remoteCertificate: Uint8Array | null;
}

type State =
  | { readonly name: 'awaitClientHello' }
  | { readonly name: 'awaitCertificate'; readonly offer: Offer }
  | {
      readonly name: 'awaitClientKeyExchange';
      readonly offer: Offer;
      readonly remoteCertificate: Uint8Array | null;
    }
  | {
      readonly name: 'awaitCertificateVerify';
      readonly keyed: Keyed;
      readonly remoteCertificate: Uint8Array;
    }
  | { readonly name: 'awaitFinished'; readonly keyed: Keyed }
  | { readonly name: 'done' };

export class ServerHandshake12 implements Handshake {
  readonly #options: ServerHandshakeOptions;
  readonly #records: RecordLayer;
  readonly #transcript = new Transcript();
  #startsAgain = 0;
  readonly version = '1.2';
  #state: State = { name: 'awaitClientHello' };

  constructor(options: ServerHandshakeOptions, records: RecordLayer) {
    this.#options = options;
    this.#records = records;
  }

  get expectsFirstMessage(): boolean {
    return this.#state.name === 'awaitClientHello';
  }

  get expectedEpoch(): number {
    return this.#state.name === 'awaitFinished' ? 1 : 0;
  }

  get mayStartAgain(): boolean {
    const { name } = this.#state;
    return name === 'awaitCertificate' || name === 'awaitClientKeyExchange';
  }

  start(): HandshakeStep {
    return WAIT;
  }

  handleMessage(message: HandshakeMessage): HandshakeStep {
    const state = this.#state;
    // Finished is the first message under the new keys, and the only one (RFC 5246 §7.4.9).
    if (message.epoch !== this.expectedEpoch) return failed(ALERT.unexpectedMessage, 'epoch');
    switch (state.name) {
      case 'awaitClientHello':
        return message.type === HANDSHAKE_TYPE.clientHello
          ? this.#handleClientHello(message)
          : unexpected();
      case 'awaitCertificate':
        if (message.type === HANDSHAKE_TYPE.clientHello) return this.#startAgain(message);
        return message.type === HANDSHAKE_TYPE.certificate
          ? this.#handleCertificate(message, state.offer)
          : unexpected();
      case 'awaitClientKeyExchange':
        if (message.type === HANDSHAKE_TYPE.clientHello) return this.#startAgain(message);
        return message.type === HANDSHAKE_TYPE.clientKeyExchange
          ? this.#handleClientKeyExchange(message, state.offer, state.remoteCertificate)
          : unexpected();
      case 'awaitCertificateVerify':
        return message.type === HANDSHAKE_TYPE.certificateVerify
          ? this.#handleCertificateVerify(message, state.keyed, state.remoteCertificate)
          : unexpected();
      case 'awaitFinished':
        return message.type === HANDSHAKE_TYPE.finished
          ? this.#handleFinished(message, state.keyed)
          : unexpected();
      case 'done':
        return WAIT;
    }
  }

  /**
   * The ClientHello that follows a HelloVerifyRequest, which we sent without keeping state before
   * or after this session took an earlier one: it is the one that counts.
   */
  #startAgain(message: HandshakeMessage): HandshakeStep {
    this.#startsAgain += 1;
    if (this.#startsAgain > MAX_STARTS_AGAIN) return unexpected();
    this.#transcript.reset();
    return this.#handleClientHello(message);
  }

  #handleClientHello(message: HandshakeMessage): HandshakeStep {
    const hello = decodeClientHello(message.body);
    if (!hello.ok) return failed(ALERT.decodeError, hello.drop);
    const result = negotiate(hello.value);
    if (!result.ok) return failed(result.failure.alert, result.failure.reason);
    const negotiated = result.value;
    const { crypto, certificate } = this.#options;
    this.#transcript.add(message);

    const serverRandom = crypto.randomBytes(RANDOM_BYTES);
    if (speaks13(this.#options)) markDowngrade(serverRandom);
    const keyShare = crypto.generateKeyShare(negotiated.group);
    const params = encodeEcdhParams(negotiated.group, keyShare.publicKey);
    const signature = crypto.signEcdsaP256(
      certificate.privateKey,
      concatBytes([hello.value.random, serverRandom, params]),
    );
    const signed = { algorithm: SIGNATURE_ECDSA_SECP256R1_SHA256, signature };
    const serverHello = {
      version: VERSION_DTLS_1_2,
      random: serverRandom,
      cipherSuite: negotiated.suite.id,
      extensions: answerExtensions(negotiated),
    };
    const bodies: [number, Uint8Array][] = [
      [HANDSHAKE_TYPE.serverHello, encodeServerHello(serverHello)],
      [HANDSHAKE_TYPE.certificate, encodeCertificate([certificate.der])],
      [HANDSHAKE_TYPE.serverKeyExchange, encodeServerKeyExchange(params, signed)],
    ];
    if (this.#options.requestClientCertificate)
      bodies.push([HANDSHAKE_TYPE.certificateRequest, encodeCertificateRequest()]);
    bodies.push([HANDSHAKE_TYPE.serverHelloDone, new Uint8Array(0)]);
    // Our numbering follows the client's: a HelloVerifyRequest, which kept no state, had
    // message_seq 0 before a ClientHello numbered 1.
    const parts = bodies.map(([type, body], i) => ({
      type: 'message' as const,
      message: handshakeMessage(type, message.messageSeq + i, body),
    }));
    for (const part of parts) this.#transcript.add(part.message);

    const offer = {
      negotiated,
      keyShare,
      clientRandom: hello.value.random.slice(),
      serverRandom,
      nextMessageSeq: message.messageSeq + parts.length,
    };
    this.#state = this.#options.requestClientCertificate
      ? { name: 'awaitCertificate', offer }
      : { name: 'awaitClientKeyExchange', offer, remoteCertificate: null };
    return { type: 'send', parts, acknowledgement: 'byReply' };
  }

  #handleCertificate(message: HandshakeMessage, offer: Offer): HandshakeStep {
    const chain = decodeCertificate(message.body);
    if (!chain.ok) return failed(ALERT.decodeError, chain.drop);
    const [remoteCertificate] = chain.value;
    if (remoteCertificate === undefined)
      return failed(ALERT.handshakeFailure, 'noClientCertificate');
    this.#transcript.add(message);
    this.#state = {
      name: 'awaitClientKeyExchange',
      offer,
      remoteCertificate: remoteCertificate.slice(),
    };
    return WAIT;
  }

  #handleClientKeyExchange(
    message: HandshakeMessage,
    offer: Offer,
    remoteCertificate: Uint8Array | null,
  ): HandshakeStep {
    const publicKey = decodeClientKeyExchange(message.body);
    if (!publicKey.ok) return failed(ALERT.decodeError, publicKey.drop);
    const premasterSecret = offer.keyShare.derive(publicKey.value);
    if (premasterSecret === null) return failed(ALERT.illegalParameter, 'keyShare');
    const { crypto } = this.#options;
    const { negotiated, clientRandom, serverRandom, nextMessageSeq } = offer;
    this.#transcript.add(message);
    const hash = negotiated.suite.prfHash;
    const masterSecret = extendedMasterSecret(
      crypto,
      hash,
      premasterSecret,
      this.#transcript.hash(crypto, hash),
    );
    const keys = trafficKeys(crypto, negotiated.suite, masterSecret, clientRandom, serverRandom);
    this.#records.installReadKeys(1, keys.client);
    this.#records.installWriteKeys(1, keys.server);
    const keyed = { masterSecret, negotiated, nextMessageSeq, remoteCertificate };
    this.#state =
      remoteCertificate === null
        ? { name: 'awaitFinished', keyed }
        : { name: 'awaitCertificateVerify', keyed, remoteCertificate };
    return WAIT;
  }

  #handleCertificateVerify(
    message: HandshakeMessage,
    keyed: Keyed,
    remoteCertificate: Uint8Array,
  ): HandshakeStep {
    const signed = decodeCertificateVerify(message.body);
    if (!signed.ok) return failed(ALERT.decodeError, signed.drop);
    // RFC 5246 §7.4.8: over all handshake messages so far, this one not among them.
    const isValid =
      signed.value.algorithm === SIGNATURE_ECDSA_SECP256R1_SHA256 &&
      this.#options.crypto.verifyWithCertificate(
        remoteCertificate,
        this.#transcript.bytes(),
        signed.value.signature,
      );
    if (!isValid) return failed(ALERT.decryptError, 'certificateVerify');
    this.#transcript.add(message);
    this.#state = { name: 'awaitFinished', keyed };
    return WAIT;
  }

  #handleFinished(message: HandshakeMessage, keyed: Keyed): HandshakeStep {
    const { crypto } = this.#options;
    const hash = keyed.negotiated.suite.prfHash;
    const expected = verifyData(
      crypto,
      hash,
      keyed.masterSecret,
      'client',
      this.#transcript.hash(crypto, hash),
    );
    if (!bytesEqual(expected, message.body)) return failed(ALERT.decryptError, 'finished');
    this.#transcript.add(message);
    const ours = verifyData(
      crypto,
      hash,
      keyed.masterSecret,
      'server',
      this.#transcript.hash(crypto, hash),
    );
    const parts: FlightPart[] = [
      { type: 'changeCipherSpec' },
      {
        type: 'message',
        message: handshakeMessage(HANDSHAKE_TYPE.finished, keyed.nextMessageSeq, ours, 1),
      },
    ];
    this.#transcript.reset();
    this.#state = { name: 'done' };
    const { suite, group } = keyed.negotiated;
    return {
      type: 'connected',
      parts,
      remoteCertificate: keyed.remoteCertificate,
      negotiated: { version: '1.2', cipherSuite: suite.name, group },
      traffic: null,
    };
  }
}
