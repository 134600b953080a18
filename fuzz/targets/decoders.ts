import {
  ByteReader,
  type Decoded,
  bytesEqual,
  fromHex,
  instant,
  utf8Encode,
  writeUint32,
} from '@lumamesh/base';
import { TEST_ICE, browserFlights, testCrypto } from '@lumamesh/testkit';
import { decodeDcep, encodeDcepOpen } from '../../packages/transport/src/datachannel/dcep.ts';
import { CookieGate } from '../../packages/transport/src/dtls/cookie-gate.ts';
import { decodeAlert } from '../../packages/transport/src/dtls/message/alert.ts';
import { decodeCertificateRequest } from '../../packages/transport/src/dtls/message/certificate-request.ts';
import { decodeCertificateVerify } from '../../packages/transport/src/dtls/message/certificate-verify.ts';
import { decodeCertificate } from '../../packages/transport/src/dtls/message/certificate.ts';
import {
  decodeClientHello,
  encodeClientHello,
} from '../../packages/transport/src/dtls/message/client-hello.ts';
import { negotiate } from '../../packages/transport/src/dtls/client-hello-offer.ts';
import { decodeClientKeyExchange } from '../../packages/transport/src/dtls/message/client-key-exchange.ts';
import { readAlpn } from '../../packages/transport/src/dtls/message/extensions.ts';
import { readHandshakeFragment } from '../../packages/transport/src/dtls/message/handshake-header.ts';
import { decodeHelloVerifyRequest } from '../../packages/transport/src/dtls/message/hello-verify-request.ts';
import { decodeServerHello } from '../../packages/transport/src/dtls/message/server-hello.ts';
import { decodeServerKeyExchange } from '../../packages/transport/src/dtls/message/server-key-exchange.ts';
import { readUseSrtp } from '../../packages/transport/src/dtls/message/use-srtp.ts';
import { decodeRecord } from '../../packages/transport/src/dtls/record/record.ts';
import { IceLiteAgent } from '../../packages/transport/src/ice/ice-lite-agent.ts';
import { packetChecksum } from '../../packages/transport/src/sctp/chunk/crc32c.ts';
import { decodeDataChunk } from '../../packages/transport/src/sctp/chunk/data-chunk.ts';
import { describeCauses } from '../../packages/transport/src/sctp/chunk/error-cause.ts';
import { decodeForwardTsnChunk } from '../../packages/transport/src/sctp/chunk/forward-tsn-chunk.ts';
import { decodeInitChunk } from '../../packages/transport/src/sctp/chunk/init-chunk.ts';
import { type Chunk, decodePacket } from '../../packages/transport/src/sctp/chunk/packet.ts';
import { decodeReConfigChunk } from '../../packages/transport/src/sctp/chunk/re-config-chunk.ts';
import { decodeSackChunk } from '../../packages/transport/src/sctp/chunk/sack-chunk.ts';
import { decodeShutdownChunk } from '../../packages/transport/src/sctp/chunk/shutdown-chunk.ts';
import { decodeErrorCode } from '../../packages/transport/src/stun/attributes/error-code.ts';
import { decodeUnknownAttributes } from '../../packages/transport/src/stun/attributes/unknown-attributes.ts';
import { decodeXorMappedAddress } from '../../packages/transport/src/stun/attributes/xor-mapped-address.ts';
import { isIceUfrag, iceKey } from '../../packages/transport/src/ice/ice-credentials.ts';
import { addFingerprint } from '../../packages/transport/src/stun/attributes/fingerprint-attribute.ts';
import { addMessageIntegrity } from '../../packages/transport/src/stun/attributes/message-integrity.ts';
import {
  METHOD_BINDING,
  StunBuilder,
  decodeStun,
} from '../../packages/transport/src/stun/message.ts';
import { Script, type Target } from '../target.ts';

/* What reads one datagram, message or chunk, and keeps nothing. */
const REMOTE = { address: '198.51.100.1', port: 4000 };
const hexes = (all: readonly string[]): readonly Uint8Array[] =>
  all.map((hex) => fromHex(hex) ?? new Uint8Array(0));
const flights = (): readonly (readonly string[])[] =>
  Object.values(browserFlights()).map(({ stunBindingRequests }) => stunBindingRequests);
const hellos = (): readonly string[] =>
  Object.values(browserFlights()).flatMap(({ clientHelloDatagrams }) => clientHelloDatagrams);

/** The first byte of an input says which of several decoders reads the rest. */
function oneOf(
  name: string,
  decoders: readonly ((bytes: Uint8Array) => unknown)[],
  seeds: () => readonly Uint8Array[] = () => [],
): Target {
  return {
    name,
    maxBytes: 1500,
    seeds: () => [...decoders.map((_, i) => Uint8Array.of(i)), ...seeds()],
    run: (input) => void decoders[(input[0] ?? 0) % decoders.length]?.(input.subarray(1)),
  };
}

const agent = new IceLiteAgent(testCrypto(3), TEST_ICE);
const stun: Target = {
  name: 'stun',
  maxBytes: 1500,
  seeds: () => hexes(flights().flat()),
  run: (input) => {
    const verdict = agent.handleDatagram(REMOTE, input);
    if (verdict.kind === 'respond' && verdict.response.length > 1.6 * input.length)
      throw new Error(`${verdict.response.length} bytes for ${input.length} of nobody`);
    const message = decodeStun(input);
    if (!message.ok) return;
    for (const { value } of message.value.attributes) {
      decodeXorMappedAddress(value, message.value.transactionId);
      decodeErrorCode(value);
      decodeUnknownAttributes(value);
    }
  },
};

/** Checks as whoever knows the password makes them: a mutation would not leave one authentic. */
const checks: Target = {
  name: 'stun-checks',
  maxBytes: 400,
  seeds: () =>
    ['luma:abcd', 'luma/abcd:efgh', 'luma/:', 'luma:'].map((username) =>
      Uint8Array.of(0, 6, username.length, ...utf8Encode(username), 0x80, 0x29, 1, 7),
    ),
  run: (input) => {
    const script = new Script(input);
    const message = new StunBuilder('request', METHOD_BINDING, new Uint8Array(12));
    for (let i = 0; i < 20 && !script.isOver; i++)
      message.attribute(script.uint16(), script.bytes());
    const key = iceKey(TEST_ICE.password);
    const datagram = addFingerprint(addMessageIntegrity(message, testCrypto(3), key)).finish();
    const verdict = agent.handleDatagram(REMOTE, datagram);
    if (verdict.kind === 'drop') return;
    if (verdict.response.length > 3 * datagram.length) throw new Error('a response is too large');
    if (verdict.kind !== 'check') return;
    const { remoteUfrag, previousUfrag } = verdict;
    if (!isIceUfrag(remoteUfrag) || (previousUfrag !== null && !isIceUfrag(previousUfrag)))
      throw new Error(`a ufrag that is none: ${remoteUfrag}, ${previousUfrag}`);
  },
};

const record: Target = {
  name: 'dtls-record',
  maxBytes: 2000,
  seeds: () => hexes(hellos()),
  run: (input) => {
    for (let offset = 0; offset < input.length;) {
      const decoded = decodeRecord(input, offset);
      if (!decoded.ok) return;
      if (decoded.value.end <= offset) throw new Error('a record without end');
      offset = decoded.value.end;
      const reader = new ByteReader(decoded.value.fragment);
      readHandshakeFragment(reader);
      decodeAlert(decoded.value.fragment);
    }
  },
};

const gate = new CookieGate({ crypto: testCrypto(4) }, instant(0));
const cookieGate: Target = {
  name: 'cookie-gate',
  maxBytes: 2000,
  seeds: () => hexes(hellos()),
  run: (input) => {
    const verdict = gate.inspect(instant(1), REMOTE, input);
    if (verdict.kind === 'valid') throw new Error('a cookie was guessed');
    if (verdict.kind === 'challenge' && verdict.respond().length > 3 * input.length)
      throw new Error('a challenge of more than three times what came');
  },
};

/** What is decoded and encoded again must read the same. */
function clientHello(bytes: Uint8Array): void {
  const hello = decodeClientHello(bytes);
  if (!hello.ok) return;
  negotiate(hello.value);
  const again = encodeClientHello(hello.value);
  const second = decodeClientHello(again);
  if (!second.ok || !bytesEqual(encodeClientHello(second.value), again))
    throw new Error('a ClientHello changes when it is written');
}

const messages = oneOf(
  'dtls-messages',
  [
    clientHello,
    decodeServerHello,
    decodeHelloVerifyRequest,
    decodeCertificate,
    decodeCertificateRequest,
    decodeCertificateVerify,
    decodeClientKeyExchange,
    decodeServerKeyExchange,
    readUseSrtp,
    (bytes) => readAlpn(new ByteReader(bytes)),
  ],
  () =>
    // Behind the headers of record and handshake message (25 bytes).
    hexes(hellos()).map((hello) => Uint8Array.of(0, ...hello.subarray(25))),
);

const packet: Target = {
  name: 'sctp-packet',
  maxBytes: 1500,
  seeds: () => [
    Uint8Array.from([0x13, 0x88, 0x13, 0x88, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 18]),
    new Uint8Array(40),
  ],
  run: (input) => {
    if (input.length < 12) return void decodePacket(input);
    writeUint32(input, 8, 0);
    const sum = packetChecksum(input);
    new DataView(input.buffer, input.byteOffset).setUint32(8, sum, true);
    const decoded = decodePacket(input);
    if (decoded.ok) for (const chunk of decoded.value.chunks) decodeChunk(chunk);
  },
};

function decodeChunk(chunk: Chunk): void {
  for (const decode of CHUNK_DECODERS) decode(chunk);
}

const CHUNK_DECODERS: readonly ((chunk: Chunk) => Decoded<unknown> | number | string | null)[] = [
  decodeDataChunk,
  decodeInitChunk,
  decodeSackChunk,
  decodeForwardTsnChunk,
  decodeReConfigChunk,
  decodeShutdownChunk,
  describeCauses,
];

const chunks = oneOf(
  'sctp-chunks',
  CHUNK_DECODERS.map(
    (decode) => (bytes: Uint8Array) =>
      decode({ type: bytes[0] ?? 0, flags: bytes[1] ?? 0, value: bytes.subarray(2) }),
  ),
);

const dcep: Target = {
  name: 'dcep',
  maxBytes: 2000,
  seeds: () => [
    encodeDcepOpen({ label: 'lumamesh', subprotocol: 'x', isUnordered: true, maxRetransmits: 3 }),
  ],
  run: (input) => {
    const message = decodeDcep(input);
    if (!message.ok || message.value.type !== 'open') return;
    const again = decodeDcep(encodeDcepOpen(message.value.properties));
    if (!again.ok) throw new Error('an OPEN that cannot be written');
  },
};

export const DECODERS: readonly Target[] = [
  stun,
  checks,
  record,
  cookieGate,
  messages,
  packet,
  chunks,
  dcep,
];
