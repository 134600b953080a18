import { type KeyShare, bytesEqual } from '@lumamesh/base';
import type { CipherSuite13 } from './cipher-suite-13.ts';
import type { FlightPart } from './flight/flight.ts';
import {
  type ApplicationTraffic,
  type ClientHandshakeOptions,
  type Handshake,
  type HandshakeStep,
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
  decodeCertificateRequest13,
  encodeCertificate13,
} from './message/certificate-13.ts';
import { decodeCertificateVerify, encodeCertificateVerify } from './message/certificate-verify.ts';
import { decodeEncryptedExtensions } from './message/encrypted-extensions.ts';
import {
  EXTENSION,
  SIGNATURE_ECDSA_SECP256R1_SHA256,
  namedGroupById,
} from './message/extensions.ts';
import {
  HANDSHAKE_TYPE,
  type HandshakeMessage,
  handshakeMessage,
} from './message/handshake-header.ts';
import { readServerShare } from './message/key-share.ts';
import { decodeServerHello } from './message/server-hello.ts';
import type { RecordLayer } from './record/record-layer.ts';
import type { Transcript13 } from './transcript-13.ts';
import { RecordProtection13 } from './record/record-protection-13.ts';

const HANDSHAKE_EPOCH = 2;
const FIRST_APPLICATION_EPOCH = 3;

/*
 * The client's side of the handshake drawn in server-handshake-13.ts, from the ServerHello on. The
 * server is who its certificate's fingerprint says (RFC 8122 §5).
 */
interface Keyed {
  readonly group: KeyShare['group'];
  readonly schedule: KeySchedule13;
  readonly handshake: TrafficSecrets;
}

type State =
  | { readonly name: 'awaitServerHello'; readonly shares: readonly KeyShare[] }
  | { readonly name: 'awaitEncryptedExtensions'; readonly keyed: Keyed }
  | {
      readonly name: 'awaitCertificate';
      readonly keyed: Keyed;
      readonly certificateRequested: boolean;
    }
  | {
      readonly name: 'awaitCertificateVerify';
      readonly keyed: Keyed;
      readonly certificateRequested: boolean;
      readonly remoteCertificate: Uint8Array;
    }
  | {
      readonly name: 'awaitFinished';
      readonly keyed: Keyed;
      readonly certificateRequested: boolean;
      readonly remoteCertificate: Uint8Array;
    }
  | { readonly name: 'done' };

/** What the ClientHello leaves to the handshake of DTLS 1.3. */
export interface Offered13 {
  readonly suite: CipherSuite13;
  readonly shares: readonly KeyShare[];
  /** Up to the ClientHello that is answered. */
  readonly transcript: Transcript13;
  readonly nextMessageSeq: number;
}

export class ClientHandshake13 implements Handshake {
  readonly version = '1.3';
  readonly expectsFirstMessage = false;
  readonly mayStartAgain = false;
  readonly #options: ClientHandshakeOptions;
  readonly #records: RecordLayer;
  readonly #suite: CipherSuite13;
  readonly #transcript: Transcript13;
  #nextMessageSeq: number;
  #state: State;

  constructor(options: ClientHandshakeOptions, records: RecordLayer, offered: Offered13) {
    this.#options = options;
    this.#records = records;
    this.#suite = offered.suite;
    this.#transcript = offered.transcript;
    this.#nextMessageSeq = offered.nextMessageSeq;
    this.#state = { name: 'awaitServerHello', shares: offered.shares };
  }

  get expectedEpoch(): number {
    return this.#state.name === 'awaitServerHello' ? 0 : HANDSHAKE_EPOCH;
  }

  start(): HandshakeStep {
    return WAIT;
  }

  handleMessage(message: HandshakeMessage): HandshakeStep {
    const state = this.#state;
    const { type } = message;
    if (message.epoch !== this.expectedEpoch) return failed(ALERT.unexpectedMessage, 'epoch');
    switch (state.name) {
      case 'awaitServerHello':
        return type === HANDSHAKE_TYPE.serverHello
          ? this.#handleServerHello(message, state.shares)
          : unexpected();
      case 'awaitEncryptedExtensions':
        return type === HANDSHAKE_TYPE.encryptedExtensions
          ? this.#handleEncryptedExtensions(message, state.keyed)
          : unexpected();
      case 'awaitCertificate':
        if (type === HANDSHAKE_TYPE.certificateRequest && !state.certificateRequested)
          return this.#handleCertificateRequest(message, state);
        return type === HANDSHAKE_TYPE.certificate
          ? this.#handleCertificate(message, state)
          : unexpected();
      case 'awaitCertificateVerify':
        return type === HANDSHAKE_TYPE.certificateVerify
          ? this.#handleCertificateVerify(message, state)
          : unexpected();
      case 'awaitFinished':
        return type === HANDSHAKE_TYPE.finished
          ? this.#handleFinished(message, state)
          : unexpected();
      case 'done':
        return WAIT;
    }
  }

  #handleServerHello(message: HandshakeMessage, shares: readonly KeyShare[]): HandshakeStep {
    const hello = decodeServerHello(message.body);
    if (!hello.ok) return failed(ALERT.decodeError, hello.drop);
    const extension = hello.value.extensions.get(EXTENSION.keyShare);
    if (extension === undefined) return failed(ALERT.missingExtension, 'keyShare');
    const entry = readServerShare(extension);
    if (entry === null) return failed(ALERT.decodeError, 'keyShare');
    const group = namedGroupById(entry.groupId);
    const secret = shares.find((share) => share.group === group)?.derive(entry.publicKey) ?? null;
    if (group === null || secret === null) return failed(ALERT.illegalParameter, 'keyShare');
    const { crypto } = this.#options;
    this.#transcript.add(message);
    const schedule = new KeySchedule13(crypto, this.#suite, secret);
    const handshake = schedule.handshakeTraffic(this.#hash());
    this.#records.installWriteKeys(HANDSHAKE_EPOCH, this.#protection(handshake.client));
    this.#records.installReadKeys(HANDSHAKE_EPOCH, this.#protection(handshake.server));
    const keyed = { group, schedule, handshake };
    this.#state = { name: 'awaitEncryptedExtensions', keyed };
    return WAIT;
  }

  #handleEncryptedExtensions(message: HandshakeMessage, keyed: Keyed): HandshakeStep {
    const extensions = decodeEncryptedExtensions(message.body);
    if (!extensions.ok) return failed(ALERT.decodeError, extensions.drop);
    this.#transcript.add(message);
    this.#state = { name: 'awaitCertificate', keyed, certificateRequested: false };
    return WAIT;
  }

  #handleCertificateRequest(
    message: HandshakeMessage,
    state: Extract<State, { name: 'awaitCertificate' }>,
  ): HandshakeStep {
    const request = decodeCertificateRequest13(message.body);
    if (!request.ok) return failed(ALERT.decodeError, request.drop);
    this.#transcript.add(message);
    this.#state = { ...state, certificateRequested: true };
    return WAIT;
  }

  #handleCertificate(
    message: HandshakeMessage,
    state: Extract<State, { name: 'awaitCertificate' }>,
  ): HandshakeStep {
    const chain = decodeCertificate13(message.body);
    if (!chain.ok) return failed(ALERT.decodeError, chain.drop);
    const [remoteCertificate] = chain.value;
    if (remoteCertificate === undefined) return failed(ALERT.badCertificate, 'noCertificate');
    const { crypto, remoteFingerprint } = this.#options;
    if (!bytesEqual(crypto.hash('sha256', remoteCertificate), remoteFingerprint))
      return failed(ALERT.badCertificate, 'certificateFingerprint');
    this.#transcript.add(message);
    this.#state = {
      ...state,
      name: 'awaitCertificateVerify',
      remoteCertificate: remoteCertificate.slice(),
    };
    return WAIT;
  }

  #handleCertificateVerify(
    message: HandshakeMessage,
    state: Extract<State, { name: 'awaitCertificateVerify' }>,
  ): HandshakeStep {
    const signed = decodeCertificateVerify(message.body);
    if (!signed.ok) return failed(ALERT.decodeError, signed.drop);
    const isValid =
      signed.value.algorithm === SIGNATURE_ECDSA_SECP256R1_SHA256 &&
      this.#options.crypto.verifyWithCertificate(
        state.remoteCertificate,
        signedContent('server', this.#hash()),
        signed.value.signature,
      );
    if (!isValid) return failed(ALERT.decryptError, 'certificateVerify');
    this.#transcript.add(message);
    this.#state = { ...state, name: 'awaitFinished' };
    return WAIT;
  }

  #handleFinished(
    message: HandshakeMessage,
    state: Extract<State, { name: 'awaitFinished' }>,
  ): HandshakeStep {
    const { crypto } = this.#options;
    const { keyed, certificateRequested, remoteCertificate } = state;
    const { hash } = this.#suite;
    const expected = verifyData13(crypto, hash, keyed.handshake.server, this.#hash());
    if (!bytesEqual(expected, message.body)) return failed(ALERT.decryptError, 'finished');
    this.#transcript.add(message);
    const application = keyed.schedule.applicationTraffic(this.#hash());

    const parts: FlightPart[] = [];
    const add = (type: number, body: Uint8Array): void => {
      const own = handshakeMessage(type, this.#nextMessageSeq, body, HANDSHAKE_EPOCH);
      this.#nextMessageSeq += 1;
      this.#transcript.add(own);
      parts.push({ type: 'message', message: own });
    };
    if (certificateRequested) this.#addCertificate(add);
    add(HANDSHAKE_TYPE.finished, verifyData13(crypto, hash, keyed.handshake.client, this.#hash()));
    this.#transcript.clear();
    this.#records.installWriteKeys(FIRST_APPLICATION_EPOCH, this.#protection(application.client));
    this.#records.installReadKeys(FIRST_APPLICATION_EPOCH, this.#protection(application.server));
    this.#records.forgetReadKeysBefore(FIRST_APPLICATION_EPOCH);
    const traffic: ApplicationTraffic = {
      suite: this.#suite,
      readSecret: application.server,
      writeSecret: application.client,
      nextReceiveSeq: message.messageSeq + 1,
      nextSendSeq: this.#nextMessageSeq,
    };
    this.#state = { name: 'done' };
    return {
      type: 'connected',
      parts,
      remoteCertificate,
      negotiated: { version: '1.3', cipherSuite: this.#suite.name, group: keyed.group },
      traffic,
    };
  }

  #addCertificate(add: (type: number, body: Uint8Array) => void): void {
    const { crypto, certificate } = this.#options;
    // RFC 8446 §4.4.2: without one an empty list, and no CertificateVerify.
    const chain = certificate === null ? [] : [certificate.der];
    add(HANDSHAKE_TYPE.certificate, encodeCertificate13(chain));
    if (certificate === null) return;
    const signature = crypto.signEcdsaP256(
      certificate.privateKey,
      signedContent('client', this.#hash()),
    );
    add(
      HANDSHAKE_TYPE.certificateVerify,
      encodeCertificateVerify({ algorithm: SIGNATURE_ECDSA_SECP256R1_SHA256, signature }),
    );
  }

  #hash(): Uint8Array {
    return this.#transcript.hash(this.#options.crypto, this.#suite.hash);
  }

  #protection(secret: Uint8Array) {
    return new RecordProtection13(this.#options.crypto, this.#suite, secret);
  }
}
