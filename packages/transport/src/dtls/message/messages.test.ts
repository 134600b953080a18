import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ByteReader, type Decoded, fromHex } from '@lumamesh/base';
import { browserFlights, mutations, overlong, truncations } from '@lumamesh/testkit';
import { negotiate } from '../client-hello-offer.ts';
import { HandshakeReassembler } from '../flight/handshake-reassembler.ts';
import { decodeRecord } from '../record/record.ts';
import { decodeCertificate, encodeCertificate } from './certificate.ts';
import { decodeCertificateRequest, encodeCertificateRequest } from './certificate-request.ts';
import { decodeCertificateVerify, encodeCertificateVerify } from './certificate-verify.ts';
import {
  type ClientHello,
  decodeClientHello,
  decodeClientHelloHead,
  encodeClientHello,
} from './client-hello.ts';
import { decodeClientKeyExchange, encodeClientKeyExchange } from './client-key-exchange.ts';
import { EXTENSION } from './extensions.ts';
import { type HandshakeMessage, readHandshakeFragment } from './handshake-header.ts';
import { decodeHelloVerifyRequest, encodeHelloVerifyRequest } from './hello-verify-request.ts';
import { decodeServerHello, encodeServerHello } from './server-hello.ts';
import {
  decodeServerKeyExchange,
  encodeEcdhParams,
  encodeServerKeyExchange,
} from './server-key-exchange.ts';
import { encodeUseSrtp, readUseSrtp } from './use-srtp.ts';

const hello: ClientHello = {
  version: 0xfefd,
  random: new Uint8Array(32).fill(1),
  sessionId: Uint8Array.of(4),
  cookie: Uint8Array.of(5, 6),
  cipherSuites: [0xc02b, 0x00ff],
  compressionMethods: Uint8Array.of(0),
  extensions: new Map([
    [EXTENSION.extendedMasterSecret, new Uint8Array(0)],
    [EXTENSION.signatureAlgorithms, Uint8Array.of(0, 2, 4, 3)],
    [EXTENSION.supportedGroups, Uint8Array.of(0, 2, 0, 29)],
  ]),
};
const signed = { algorithm: 0x0403, signature: new Uint8Array(71).fill(8) };

/** Each message: its encoding, its decoder, and what must come out. */
const units: [string, Uint8Array, (body: Uint8Array) => Decoded<unknown>, unknown][] = [
  ['ClientHello', encodeClientHello(hello), decodeClientHello, hello],
  [
    'ServerHello',
    encodeServerHello({
      version: 0xfefd,
      random: new Uint8Array(32).fill(2),
      cipherSuite: 0xc02b,
      extensions: new Map([[23, new Uint8Array(0)]]),
    }),
    decodeServerHello,
    {
      version: 0xfefd,
      random: new Uint8Array(32).fill(2),
      cipherSuite: 0xc02b,
      extensions: new Map([[23, new Uint8Array(0)]]),
    },
  ],
  [
    'HelloVerifyRequest',
    encodeHelloVerifyRequest(Uint8Array.of(1, 2, 3)),
    decodeHelloVerifyRequest,
    Uint8Array.of(1, 2, 3),
  ],
  [
    'Certificate',
    encodeCertificate([Uint8Array.of(1, 2), Uint8Array.of(3)]),
    decodeCertificate,
    [Uint8Array.of(1, 2), Uint8Array.of(3)],
  ],
  ['an empty Certificate', encodeCertificate([]), decodeCertificate, []],
  [
    'ServerKeyExchange',
    encodeServerKeyExchange(encodeEcdhParams('x25519', new Uint8Array(32).fill(3)), signed),
    decodeServerKeyExchange,
    { group: 'x25519', publicKey: new Uint8Array(32).fill(3), signed },
  ],
  [
    'CertificateRequest',
    encodeCertificateRequest(),
    decodeCertificateRequest,
    { signatureAlgorithms: [0x0403] },
  ],
  [
    'ClientKeyExchange',
    encodeClientKeyExchange(new Uint8Array(32).fill(4)),
    decodeClientKeyExchange,
    new Uint8Array(32).fill(4),
  ],
  ['CertificateVerify', encodeCertificateVerify(signed), decodeCertificateVerify, signed],
];

describe('every handshake message', () => {
  for (const [name, bytes, decode, expected] of units) {
    it(`${name}: round trip, cut at every offset, over-long, mutated`, () => {
      const result = decode(bytes);
      assert.ok(result.ok);
      assert.deepEqual(result.value, expected);
      for (const cut of truncations(bytes)) {
        // A hello without extensions is whole (RFC 5246 §7.4.1.2); no other message has an optional
        // end.
        const isHelloWithoutExtensions =
          name.endsWith('Hello') && decode(cut).ok && !decode(cut.slice(0, cut.length - 1)).ok;
        assert.ok(!decode(cut).ok || isHelloWithoutExtensions, `${cut.length} bytes`);
      }
      assert.ok(!decode(overlong(bytes)).ok);
      for (const mutated of mutations(bytes, 2000, 3)) decode(mutated);
    });
  }
});

describe('use_srtp', () => {
  const offer = Uint8Array.of(0, 6, 0, 1, 0, 7, 0x12, 0x34, 2, 8, 9);

  it('gives the profiles, whatever the MKI; cut, over-long, odd and empty ones are refused', () => {
    assert.deepEqual(readUseSrtp(offer), [1, 7, 0x1234]);
    for (const cut of truncations(offer)) assert.equal(readUseSrtp(cut), null);
    assert.equal(readUseSrtp(overlong(offer)), null);
    assert.equal(readUseSrtp(Uint8Array.of(0, 3, 0, 1, 7, 0)), null);
    assert.equal(readUseSrtp(Uint8Array.of(0, 0, 0)), null);
    for (const mutated of mutations(offer, 5000, 5)) readUseSrtp(mutated);
  });

  it('is answered with one profile', () => {
    assert.deepEqual(encodeUseSrtp(7), Uint8Array.of(0, 2, 0, 7, 0));
    assert.deepEqual(readUseSrtp(encodeUseSrtp(7)), [7]);
  });
});

/** The whole ClientHello of a browser, put together from the fragments it really sent. */
function browserHello(datagrams: readonly string[]): HandshakeMessage {
  const reassembler = new HandshakeReassembler(4096);
  for (const hex of datagrams) {
    const record = decodeRecord(fromHex(hex) ?? new Uint8Array(0), 0);
    assert.ok(record.ok);
    assert.equal(
      reassembler.add(readHandshakeFragment(new ByteReader(record.value.fragment))),
      'held',
    );
  }
  const message = reassembler.take();
  assert.ok(message !== null);
  return message;
}

describe('the ClientHello of real browsers', () => {
  for (const [name, flights] of Object.entries(browserFlights())) {
    it(`${name}: comes in two fragments, negotiates X25519, AES-128-GCM and extended master secret`, () => {
      assert.equal(flights.clientHelloDatagrams.length, 2);
      const decoded = decodeClientHello(browserHello(flights.clientHelloDatagrams).body);
      assert.ok(decoded.ok);
      const result = negotiate(decoded.value);
      assert.ok(result.ok);
      assert.equal(result.value.suite.id, 0xc02b);
      assert.equal(result.value.group, 'x25519');
      assert.equal(result.value.srtpProfile, 7);
      assert.equal(result.value.alpn, name.startsWith('firefox') ? 'webrtc' : null);
      const record = decodeRecord(
        fromHex(flights.clientHelloDatagrams[0] ?? '') ?? new Uint8Array(0),
        0,
      );
      assert.ok(record.ok);
      const head = decodeClientHelloHead(
        readHandshakeFragment(new ByteReader(record.value.fragment)).fragment,
      );
      assert.ok(head.ok, 'random and cookie stand in the first fragment');
      assert.deepEqual(head.value.random, decoded.value.random);
    });
  }
});

describe('negotiation', () => {
  const change = (
    changes: Partial<ClientHello>,
    extensions: readonly [number, Uint8Array | null][] = [],
  ): ClientHello => {
    const map = new Map(hello.extensions);
    for (const [type, data] of extensions)
      if (data === null) map.delete(type);
      else map.set(type, data);
    return { ...hello, ...changes, extensions: map };
  };
  const refusals: [string, ClientHello, string][] = [
    ['DTLS 1.0 only', change({ version: 0xfeff }), 'noCommonVersion'],
    ['TLS', change({ version: 0x0303 }), 'noCommonVersion'],
    [
      'DTLS 1.3 only',
      change({}, [[EXTENSION.supportedVersions, Uint8Array.of(2, 0xfe, 0xfc)]]),
      'noCommonVersion',
    ],
    [
      'no extended master secret',
      change({}, [[EXTENSION.extendedMasterSecret, null]]),
      'noExtendedMasterSecret',
    ],
    ['no AEAD suite', change({ cipherSuites: [0xc009, 0x002f] }), 'noCommonCipherSuite'],
    [
      'RSA signatures only',
      change({}, [[EXTENSION.signatureAlgorithms, Uint8Array.of(0, 2, 8, 4)]]),
      'noCommonSignatureAlgorithm',
    ],
    [
      'post-quantum groups only',
      change({}, [[EXTENSION.supportedGroups, Uint8Array.of(0, 2, 0x11, 0xec)]]),
      'noCommonGroup',
    ],
    ['no null compression', change({ compressionMethods: Uint8Array.of(1) }), 'noNullCompression'],
    [
      'a renegotiation',
      change({}, [[EXTENSION.renegotiationInfo, Uint8Array.of(1, 7)]]),
      'renegotiationInfo',
    ],
    [
      'compressed points only',
      change({}, [[EXTENSION.ecPointFormats, Uint8Array.of(1, 1)]]),
      'pointFormats',
    ],
    ['a malformed use_srtp', change({}, [[EXTENSION.useSrtp, Uint8Array.of(0, 2)]]), 'useSrtp'],
    ['malformed ALPN', change({}, [[EXTENSION.alpn, Uint8Array.of(0, 5, 1)]]), 'alpn'],
  ];
  for (const [name, offer, reason] of refusals) {
    it(`refuses ${name}`, () => {
      const result = negotiate(offer);
      assert.ok(!result.ok);
      assert.equal(result.failure.reason, reason);
    });
  }

  it('prefers X25519 and takes P-256, also where the client names no groups', () => {
    const groups = (ids: readonly number[]): string | null => {
      const result = negotiate(
        change({}, [
          [
            EXTENSION.supportedGroups,
            Uint8Array.from([0, ids.length * 2, ...ids.flatMap((id) => [id >> 8, id & 255])]),
          ],
        ]),
      );
      return result.ok ? result.value.group : null;
    };
    assert.equal(groups([23, 29]), 'x25519');
    assert.equal(groups([0x11ec, 23]), 'secp256r1');
    const none = negotiate(change({}, [[EXTENSION.supportedGroups, null]]));
    assert.ok(none.ok && none.value.group === 'secp256r1');
  });

  it('names an extension twice: malformed', () => {
    const bytes = encodeClientHello({ ...hello, extensions: new Map([[23, new Uint8Array(0)]]) });
    const twice = Uint8Array.from([...bytes.slice(0, -6), 0, 8, 0, 23, 0, 0, 0, 23, 0, 0]);
    assert.ok(!decodeClientHello(twice).ok);
  });
});
