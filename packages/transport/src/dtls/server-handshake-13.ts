import { bytesEqual, decoded } from '@lumamesh/base';
import { type Negotiated13, negotiate13, offersDtls13 } from './client-hello-offer-13.ts';
import {
  type ApplicationTraffic,
  type Handshake,
  type HandshakeStep,
  type ServerHandshakeOptions,
  WAIT,
  failed,
  unexpected,
} from './handshake.ts';
import {
  KeySchedule13,
  type TrafficSecrets,
  signedContent,
  verifyData13,
} from './key-schedule-13.ts';
import { ALERT } from './message/alert.ts';
import {
  decodeCertificate13,
  encodeCertificate13,
  encodeCertificateRequest13,
} from './message/certificate-13.ts';
import { decodeCertificateVerify, encodeCertificateVerify } from './message/certificate-verify.ts';
import { type ClientHello, RANDOM_BYTES, decodeClientHello } from './message/client-hello.ts';
import { encodeEncryptedExtensions } from './message/encrypted-extensions.ts';
import {
  EXTENSION,
  NAMED_GROUP_ID,
  SIGNATURE_ECDSA_SECP256R1_SHA256,
} from './message/extensions.ts';
import {
  HANDSHAKE_TYPE,
  type HandshakeMessage,
  handshakeMessage,
} from './message/handshake-header.ts';
import { encodeServerShare } from './message/key-share.ts';
import { encodeServerHello } from './message/server-hello.ts';
import { VERSION_DTLS_1_2, VERSION_DTLS_1_3 } from './record/record.ts';
import type { RecordLayer } from './record/record-layer.ts';
import { encodeRetryRequest, helloHash, resumeTranscript, retryState } from './retry-request.ts';
import { groupsOf } from './security-options.ts';
import { encryptedExtensions } from './server-extensions.ts';
import { Transcript13 } from './transcript-13.ts';
import { RecordProtection13 } from './record/record-protection-13.ts';

/** RFC 9147 §6.1. */
const HANDSHAKE_EPOCH = 2;
const FIRST_APPLICATION_EPOCH = 3;

/*
 * The server's side of a full DTLS 1.3 handshake (RFC 9147 §5.7, figure 7; RFC 8446 §2):
 *
 *   Client                                   Server
 *   ClientHello                 ─────────▶                       awaitClientHello
 *  [                            ◀─────────   HelloRetryRequest ]
 *  [ClientHello                 ─────────▶                       awaitSecondClientHello ]
 *                               ◀─────────   ServerHello, {EncryptedExtensions, [CertificateRequest],
 *                                            Certificate, CertificateVerify, Finished}, [data]
 *  {[Certificate]}              ─────────▶                       awaitCertificate   (only when requested)
 *  {[CertificateVerify]}        ─────────▶                       awaitCertificateVerify
 *  {Finished}                   ─────────▶                       awaitFinished
 *                               ◀─────────   [ACK]
 *
 * {} are records of epoch 2, [data] of epoch 3. A HelloRetryRequest of which nothing was kept goes
 * before it in cookie-gate.ts; what is drawn here asks for a key share.
 */
interface Keyed {
  readonly negotiated: Negotiated13;
  readonly handshake: TrafficSecrets;
  readonly application: TrafficSecrets;
  readonly nextSendSeq: number;
}

type State =
  /** With what is known of it already, for the version was chosen by it. */
  | { readonly name: 'awaitClientHello'; readonly hello: ClientHello }
  | { readonly name: 'awaitSecondClientHello'; readonly first: Negotiated13 }
  | { readonly name: 'awaitCertificate'; readonly keyed: Keyed }
  | {
      readonly name: 'awaitCertificateVerify';
      readonly keyed: Keyed;
      readonly remoteCertificate: Uint8Array;
    }
  | {
      readonly name: 'awaitFinished';
      readonly keyed: Keyed;
      readonly expected: Uint8Array;
      readonly remoteCertificate: Uint8Array | null;
    }
  | { readonly name: 'done' };

export class ServerHandshake13 implements Handshake {
  readonly version = '1.3';
  readonly mayStartAgain = false;
  readonly #options: ServerHandshakeOptions;
  readonly #records: RecordLayer;
  readonly #transcript = new Transcript13();
  #state: State;

  constructor(options: ServerHandshakeOptions, records: RecordLayer, hello: ClientHello) {
    this.#options = options;
    this.#records = records;
    this.#state = { name: 'awaitClientHello', hello };
  }

  get expectsFirstMessage(): boolean {
    return this.#state.name === 'awaitClientHello';
  }

  get expectedEpoch(): number {
    const { name } = this.#state;
    return name === 'awaitClientHello' || name === 'awaitSecondClientHello' ? 0 : HANDSHAKE_EPOCH;
  }

  start(): HandshakeStep {
    return WAIT;
  }

  handleMessage(message: HandshakeMessage): HandshakeStep {
    const state = this.#state;
    if (message.epoch !== this.expectedEpoch) return failed(ALERT.unexpectedMessage, 'epoch');
    switch (state.name) {
      case 'awaitClientHello':
      case 'awaitSecondClientHello':
        return message.type === HANDSHAKE_TYPE.clientHello
          ? this.#handleClientHello(message, state)
          : unexpected();
      case 'awaitCertificate':
        return message.type === HANDSHAKE_TYPE.certificate
          ? this.#handleCertificate(message, state.keyed)
          : unexpected();
      case 'awaitCertificateVerify':
        return message.type === HANDSHAKE_TYPE.certificateVerify
          ? this.#handleCertificateVerify(message, state)
          : unexpected();
      case 'awaitFinished':
        return message.type === HANDSHAKE_TYPE.finished
          ? this.#handleFinished(message, state)
          : unexpected();
      case 'done':
        return WAIT;
    }
  }

  #handleClientHello(
    message: HandshakeMessage,
    state: Extract<State, { name: 'awaitClientHello' | 'awaitSecondClientHello' }>,
  ): HandshakeStep {
    const isFirst = state.name === 'awaitClientHello';
    const hello = isFirst ? decoded(state.hello) : decodeClientHello(message.body);
    if (!hello.ok) return failed(ALERT.decodeError, hello.drop);
    if (!offersDtls13(hello.value)) return failed(ALERT.illegalParameter, 'versionChanged');
    const result = negotiate13(hello.value, groupsOf(this.#options));
    if (!result.ok) return failed(result.failure.alert, result.failure.reason);
    const negotiated = result.value;
    if (!isFirst) {
      // RFC 8446 §4.1.2: the second ClientHello brings the share, and changes nothing else of ours.
      const { first } = state;
      if (negotiated.suite !== first.suite || negotiated.group !== first.group)
        return failed(ALERT.illegalParameter, 'helloChanged');
    } else if (negotiated.cookie !== null && !this.#resume(hello.value, negotiated))
      return failed(ALERT.illegalParameter, 'cookie');
    if (negotiated.share === null) {
      // RFC 8446 §4.1.4: a client that is asked a second time ends the handshake.
      return isFirst && negotiated.cookie === null
        ? this.#askForShare(message, negotiated)
        : failed(ALERT.illegalParameter, 'noKeyShare');
    }
    this.#transcript.add(message);
    return this.#answer(message, negotiated, negotiated.share);
  }

  /** A HelloRetryRequest of which nothing was kept went before this ClientHello. */
  #resume(hello: ClientHello, { suite, cookie }: Negotiated13): boolean {
    const state = cookie === null ? null : retryState(cookie);
    if (cookie === null || state === null) return false;
    const { crypto } = this.#options;
    return resumeTranscript(crypto, suite.hash, this.#transcript, hello, cookie, state, suite.id);
  }

  #askForShare(message: HandshakeMessage, negotiated: Negotiated13): HandshakeStep {
    const { suite, group } = negotiated;
    const body = encodeRetryRequest({ suiteId: suite.id, group, cookie: null });
    const request = handshakeMessage(HANDSHAKE_TYPE.serverHello, message.messageSeq, body);
    this.#transcript.startWithHashOf(helloHash(this.#options.crypto, suite.hash, message.body));
    this.#transcript.add(request);
    this.#state = { name: 'awaitSecondClientHello', first: negotiated };
    const parts = [{ type: 'message' as const, message: request }];
    return { type: 'send', parts, acknowledgement: 'byAck' };
  }

  #answer(
    message: HandshakeMessage,
    negotiated: Negotiated13,
    clientShare: Uint8Array,
  ): HandshakeStep {
    const { crypto, certificate, requestClientCertificate } = this.#options;
    const { suite, group } = negotiated;
    const share = crypto.respondToKeyShare(group, clientShare);
    if (share === null) return failed(ALERT.illegalParameter, 'keyShare');
    const messages: HandshakeMessage[] = [];
    // Our numbering follows the client's: a HelloRetryRequest had message_seq 0 before a
    // ClientHello numbered 1.
    const add = (type: number, body: Uint8Array, epoch: number): void => {
      const own = handshakeMessage(type, message.messageSeq + messages.length, body, epoch);
      messages.push(own);
      this.#transcript.add(own);
    };
    const hash = (): Uint8Array => this.#transcript.hash(crypto, suite.hash);

    const extensions = new Map([
      [EXTENSION.supportedVersions, Uint8Array.of(VERSION_DTLS_1_3 >> 8, VERSION_DTLS_1_3 & 0xff)],
      [
        EXTENSION.keyShare,
        encodeServerShare({ groupId: NAMED_GROUP_ID[group], publicKey: share.publicKey }),
      ],
    ]);
    const serverHello = {
      version: VERSION_DTLS_1_2,
      random: crypto.randomBytes(RANDOM_BYTES),
      cipherSuite: suite.id,
      extensions,
    };
    add(HANDSHAKE_TYPE.serverHello, encodeServerHello(serverHello), 0);
    const schedule = new KeySchedule13(crypto, suite, share.secret);
    const handshake = schedule.handshakeTraffic(hash());
    const protectionOf = (secret: Uint8Array) => new RecordProtection13(crypto, suite, secret);
    this.#records.installWriteKeys(HANDSHAKE_EPOCH, protectionOf(handshake.server));
    this.#records.installReadKeys(HANDSHAKE_EPOCH, protectionOf(handshake.client));

    const addProtected = (type: number, body: Uint8Array): void => add(type, body, HANDSHAKE_EPOCH);
    addProtected(
      HANDSHAKE_TYPE.encryptedExtensions,
      encodeEncryptedExtensions(encryptedExtensions(negotiated)),
    );
    if (requestClientCertificate)
      addProtected(HANDSHAKE_TYPE.certificateRequest, encodeCertificateRequest13());
    addProtected(HANDSHAKE_TYPE.certificate, encodeCertificate13([certificate.der]));
    const signature = crypto.signEcdsaP256(certificate.privateKey, signedContent('server', hash()));
    addProtected(
      HANDSHAKE_TYPE.certificateVerify,
      encodeCertificateVerify({ algorithm: SIGNATURE_ECDSA_SECP256R1_SHA256, signature }),
    );
    addProtected(
      HANDSHAKE_TYPE.finished,
      verifyData13(crypto, suite.hash, handshake.server, hash()),
    );
    const finishedHash = hash();
    const application = schedule.applicationTraffic(finishedHash);
    this.#records.installWriteKeys(FIRST_APPLICATION_EPOCH, protectionOf(application.server));

    const nextSendSeq = message.messageSeq + messages.length;
    const keyed: Keyed = { negotiated, handshake, application, nextSendSeq };
    if (requestClientCertificate) this.#state = { name: 'awaitCertificate', keyed };
    else {
      // What the client has to say is known by now: nothing of the messages need be kept.
      const expected = verifyData13(crypto, suite.hash, handshake.client, finishedHash);
      this.#transcript.clear();
      this.#state = { name: 'awaitFinished', keyed, expected, remoteCertificate: null };
    }
    const parts = messages.map((own) => ({ type: 'message' as const, message: own }));
    return { type: 'send', parts, acknowledgement: 'byAck', isWritable: true };
  }

  #handleCertificate(message: HandshakeMessage, keyed: Keyed): HandshakeStep {
    const chain = decodeCertificate13(message.body);
    if (!chain.ok) return failed(ALERT.decodeError, chain.drop);
    const [remoteCertificate] = chain.value;
    if (remoteCertificate === undefined)
      return failed(ALERT.certificateRequired, 'noClientCertificate');
    this.#transcript.add(message);
    this.#state = {
      name: 'awaitCertificateVerify',
      keyed,
      remoteCertificate: remoteCertificate.slice(),
    };
    return WAIT;
  }

  #handleCertificateVerify(
    message: HandshakeMessage,
    { keyed, remoteCertificate }: Extract<State, { name: 'awaitCertificateVerify' }>,
  ): HandshakeStep {
    const signed = decodeCertificateVerify(message.body);
    if (!signed.ok) return failed(ALERT.decodeError, signed.drop);
    const { crypto } = this.#options;
    const { hash } = keyed.negotiated.suite;
    const isValid =
      signed.value.algorithm === SIGNATURE_ECDSA_SECP256R1_SHA256 &&
      crypto.verifyWithCertificate(
        remoteCertificate,
        signedContent('client', this.#transcript.hash(crypto, hash)),
        signed.value.signature,
      );
    if (!isValid) return failed(ALERT.decryptError, 'certificateVerify');
    this.#transcript.add(message);
    const transcriptHash = this.#transcript.hash(crypto, hash);
    const expected = verifyData13(crypto, hash, keyed.handshake.client, transcriptHash);
    this.#transcript.clear();
    this.#state = { name: 'awaitFinished', keyed, expected, remoteCertificate };
    return WAIT;
  }

  #handleFinished(
    message: HandshakeMessage,
    { keyed, expected, remoteCertificate }: Extract<State, { name: 'awaitFinished' }>,
  ): HandshakeStep {
    if (!bytesEqual(expected, message.body)) return failed(ALERT.decryptError, 'finished');
    const { crypto } = this.#options;
    const { negotiated, application, nextSendSeq } = keyed;
    const { suite, group } = negotiated;
    this.#records.installReadKeys(
      FIRST_APPLICATION_EPOCH,
      new RecordProtection13(crypto, suite, application.client),
    );
    this.#records.forgetWriteKeysBefore(FIRST_APPLICATION_EPOCH);
    // For a Finished that comes again.
    this.#records.restReadKeys(HANDSHAKE_EPOCH);
    const traffic: ApplicationTraffic = {
      suite,
      readSecret: application.client,
      writeSecret: application.server,
      nextReceiveSeq: message.messageSeq + 1,
      nextSendSeq,
    };
    this.#state = { name: 'done' };
    return {
      type: 'connected',
      parts: [],
      remoteCertificate,
      negotiated: { version: '1.3', cipherSuite: suite.name, group },
      traffic,
    };
  }
}
