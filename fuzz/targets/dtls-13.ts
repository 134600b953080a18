import { ByteReader, Fifo, type Transmit, fromHex, instant } from '@lumamesh/base';
import { browserFlights, testCrypto } from '@lumamesh/testkit';
import { CIPHER_SUITES_13 } from '../../packages/transport/src/dtls/cipher-suite-13.ts';
import {
  negotiate13,
  offersDtls13,
} from '../../packages/transport/src/dtls/client-hello-offer-13.ts';
import { FlightSender } from '../../packages/transport/src/dtls/flight/flight-sender.ts';
import { RecordProtection13 } from '../../packages/transport/src/dtls/record/record-protection-13.ts';
import { decodeAck, encodeAck } from '../../packages/transport/src/dtls/message/ack.ts';
import {
  decodeCertificate13,
  decodeCertificateRequest13,
  encodeCertificate13,
  encodeCertificateRequest13,
} from '../../packages/transport/src/dtls/message/certificate-13.ts';
import {
  decodeClientHello,
  decodeClientHelloHead,
  encodeClientHello,
} from '../../packages/transport/src/dtls/message/client-hello.ts';
import {
  decodeEncryptedExtensions,
  encodeEncryptedExtensions,
} from '../../packages/transport/src/dtls/message/encrypted-extensions.ts';
import {
  encodeHandshakeFragment,
  readHandshakeFragment,
} from '../../packages/transport/src/dtls/message/handshake-header.ts';
import {
  encodeClientShares,
  encodeServerShare,
  readClientShares,
  readServerShare,
} from '../../packages/transport/src/dtls/message/key-share.ts';
import { decodeKeyUpdate } from '../../packages/transport/src/dtls/message/key-update.ts';
import { PostHandshake13 } from '../../packages/transport/src/dtls/post-handshake-13.ts';
import { RecordLayer } from '../../packages/transport/src/dtls/record/record-layer.ts';
import { decodeUnifiedRecord } from '../../packages/transport/src/dtls/record/unified-record.ts';
import {
  encodeRetryRequest,
  readCookie,
  resumeTranscript,
  retryState,
} from '../../packages/transport/src/dtls/retry-request.ts';
import { Transcript13 } from '../../packages/transport/src/dtls/transcript-13.ts';
import { Script, type Target } from '../target.ts';

/* What DTLS 1.3 reads: before there are keys, under them, and from a peer that has them. */
const crypto = testCrypto(13);
const GROUPS = ['x25519mlkem768', 'x25519', 'secp256r1'] as const;
const [SUITE] = CIPHER_SUITES_13;
if (SUITE === undefined) throw new Error('no cipher suite');
const suite = SUITE;

function hellos(): readonly Uint8Array[] {
  return Object.values(browserFlights()).map(({ clientHelloDatagrams }) => {
    const parts = clientHelloDatagrams.map((hex) =>
      readHandshakeFragment(new ByteReader(fromHex(hex) ?? new Uint8Array(0), 13)),
    );
    return Uint8Array.from(parts.flatMap(({ fragment }) => [...fragment]));
  });
}

/** A ClientHello: read, chosen from, and written again as it was. */
const hello: Target = {
  name: 'dtls13-hello',
  maxBytes: 2000,
  seeds: hellos,
  run: (input) => {
    decodeClientHelloHead(input);
    const decoded = decodeClientHello(input);
    if (!decoded.ok) return;
    const { value } = decoded;
    if (value.extensions.size > 0 && !sameBytes(encodeClientHello(value), input))
      throw new Error('the first ClientHello cannot be had from the second one');
    if (!offersDtls13(value)) return;
    const chosen = negotiate13(value, GROUPS);
    if (!chosen.ok || chosen.value.cookie === null) return;
    const { cookie } = chosen.value;
    const state = retryState(cookie);
    if (state === null) return;
    const transcript = new Transcript13();
    resumeTranscript(crypto, 'sha256', transcript, value, cookie, state, suite.id);
  },
};

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

const DECODERS: readonly ((bytes: Uint8Array) => unknown)[] = [
  decodeAck,
  decodeKeyUpdate,
  decodeEncryptedExtensions,
  decodeCertificate13,
  decodeCertificateRequest13,
  readClientShares,
  readServerShare,
  readCookie,
  (bytes) => decodeUnifiedRecord(bytes, 0),
];

const messages: Target = {
  name: 'dtls13-messages',
  maxBytes: 1500,
  seeds: () =>
    [
      encodeAck([{ epoch: 2, recordSequenceNumber: 7 }]),
      Uint8Array.of(1),
      encodeEncryptedExtensions(new Map([[14, Uint8Array.of(0, 2, 0, 1, 0)]])),
      encodeCertificate13([new Uint8Array(20)]),
      encodeCertificateRequest13(),
      encodeClientShares([{ groupId: 29, publicKey: new Uint8Array(32) }]),
      encodeServerShare({ groupId: 29, publicKey: new Uint8Array(32) }),
      encodeRetryRequest({ suiteId: suite.id, group: 'x25519', cookie: new Uint8Array(20) }),
    ].map((bytes, i) => Uint8Array.of(i, ...bytes)),
  run: (input) => void DECODERS[(input[0] ?? 0) % DECODERS.length]?.(input.subarray(1)),
};

const SECRET = new Uint8Array(32).fill(5);

/** Records from strangers, at somebody who has keys of three epochs. */
const records: Target = {
  name: 'dtls13-records',
  maxBytes: 1500,
  seeds: () => {
    const sender = new RecordLayer();
    sender.installWriteKeys(3, new RecordProtection13(crypto, suite, SECRET));
    return [sender.encodeProtected(23, new Uint8Array(40)) ?? new Uint8Array(0)];
  },
  run: (input) => {
    const layer = new RecordLayer();
    for (const epoch of [2, 3, 4])
      layer.installReadKeys(epoch, new RecordProtection13(crypto, suite, SECRET));
    for (let offset = 0; offset < input.length;) {
      const { end } = layer.read(input, offset);
      if (end <= offset) throw new Error('a record without end');
      offset = end;
    }
  },
};

/** A peer that has keys and has gone mad: handshake messages and ACKs of any kind and order. */
const inside: Target = {
  name: 'dtls13-inside',
  maxBytes: 400,
  seeds: () => [
    // KeyUpdate, asked for; ACK of ours; KeyUpdate
    Uint8Array.of(0, 24, 1, 1, 0, 1, 1, 2, 3, 0, 0, 24, 1, 2, 0, 1, 0),
    Uint8Array.of(1, 0, 4, 9, 1, 0, 2, 5, 5),
  ],
  run: (input) => {
    const script = new Script(input);
    const layer = new RecordLayer();
    const outputs = new Fifo<Transmit>();
    const protection = new RecordProtection13(crypto, suite, SECRET);
    layer.installWriteKeys(3, protection);
    layer.installReadKeys(2, protection);
    layer.installReadKeys(3, protection);
    const flights = new FlightSender(layer, 1200, outputs, true);
    const traffic = {
      suite,
      readSecret: SECRET,
      writeSecret: SECRET,
      nextReceiveSeq: 1,
      nextSendSeq: 5,
    };
    let now = instant(0);
    const after = new PostHandshake13(now, crypto, layer, flights, true, traffic);
    for (let steps = 0; !script.isOver && steps < 100; steps++) {
      now = instant(now + script.byte());
      switch (script.pick(4)) {
        case 0:
        case 1: {
          const [type, length, seq, offset] = [
            script.byte(),
            script.byte(),
            script.byte(),
            script.byte(),
          ];
          const bytes = encodeHandshakeFragment(type, length, seq, offset, script.bytes());
          const reader = new ByteReader(bytes);
          const fragment = readHandshakeFragment(reader);
          if (!reader.ok) break;
          const step = after.handleFragment(now, layer.readEpoch - script.pick(2), fragment);
          if (step.type === 'failed') return;
          break;
        }
        case 2: {
          const numbers = [{ epoch: script.pick(8), recordSequenceNumber: script.byte() }];
          if (flights.handleAck(now, numbers)) after.handleAcknowledged(now);
          break;
        }
        case 3:
          if (!flights.handleRetransmissionTimer(now)) return;
          after.updateKeysInTime(now);
          after.handleData(now, script.pick(8));
      }
      if (layer.writeEpoch > 3 + steps + 1 || layer.readEpoch > 3 + steps + 1)
        throw new Error('more keys than KeyUpdates');
      let sent = 0;
      while (outputs.shift() !== undefined) sent += 1;
      if (sent > 4) throw new Error(`${sent} datagrams for one`);
    }
  },
};

export const DTLS_13: readonly Target[] = [hello, messages, records, inside];
