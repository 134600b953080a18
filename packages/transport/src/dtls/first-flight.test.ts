import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ByteReader, concatBytes, instant, later, type NamedGroup } from '@lumamesh/base';
import {
  EndpointHost,
  SessionHost,
  TEST_ICE,
  VirtualNetwork,
  clientOptions,
  endpointOptions,
  mutations,
  seededRandom,
  serverCertificate,
  testCrypto,
} from '@lumamesh/testkit';
import { UNPROVEN_AMPLIFICATION_LIMIT } from '../amplification-limit.ts';
import { Endpoint } from '../endpoint.ts';
import type { EndpointOptions } from '../endpoint-types.ts';
import { ControllingAgent } from '../ice/controlling-agent.ts';
import { maxFirstFlightBytes } from './first-flight.ts';
import { type ClientHello, decodeClientHello, encodeClientHello } from './message/client-hello.ts';
import { EXTENSION } from './message/extensions.ts';
import {
  HANDSHAKE_TYPE,
  encodeHandshakeFragment,
  readHandshakeFragment,
} from './message/handshake-header.ts';
import { decodeHelloVerifyRequest } from './message/hello-verify-request.ts';
import { decodeServerHello } from './message/server-hello.ts';
import { SRTP_PROFILES, readUseSrtp } from './message/use-srtp.ts';
import { CONTENT_TYPE, decodeRecord, encodePlaintextRecord } from './record/record.ts';

/*
 * The first flights as clients other than browsers have them: small ClientHellos, whose reply must
 * neither be more than three times as large nor be silence; fragments, repetitions, other
 * extensions.
 */
const REMOTE = { address: '192.0.2.5', port: 5005 };
const NO_BYTES = new Uint8Array(0);
const USE_SRTP = Uint8Array.of(0, 4, 0, 7, 0, 1, 0);

/** As small as a ClientHello that is accepted can be: 92 bytes as a datagram. */
function smallHello(changes: Partial<ClientHello> = {}): ClientHello {
  return {
    version: 0xfefd,
    random: new Uint8Array(32).fill(7),
    sessionId: NO_BYTES,
    cookie: NO_BYTES,
    cipherSuites: [0xc02b],
    compressionMethods: Uint8Array.of(0),
    extensions: new Map([
      [EXTENSION.extendedMasterSecret, NO_BYTES],
      [EXTENSION.supportedGroups, Uint8Array.of(0, 2, 0, 29)],
      [EXTENSION.signatureAlgorithms, Uint8Array.of(0, 2, 4, 3)],
    ]),
    ...changes,
  };
}

/** A hello with everything that is answered, and padding up to about `bytes`. */
function fullHello(bytes: number, changes: Partial<ClientHello> = {}): ClientHello {
  return smallHello({
    cipherSuites: [0xc02b, 0x00ff],
    extensions: new Map([
      ...smallHello().extensions,
      [EXTENSION.supportedGroups, Uint8Array.of(0, 2, 0, 23)],
      [EXTENSION.ecPointFormats, Uint8Array.of(1, 0)],
      [EXTENSION.useSrtp, USE_SRTP],
      [EXTENSION.alpn, Uint8Array.of(0, 7, 6, ...Buffer.from('webrtc'))],
      [EXTENSION.padding, new Uint8Array(bytes)],
    ]),
    ...changes,
  });
}

/** The ClientHello in datagrams with at most so many bytes of it each. */
function helloDatagrams(hello: ClientHello, messageSeq = 0, fragmentBytes = 1100): Uint8Array[] {
  const body = encodeClientHello(hello);
  const datagrams: Uint8Array[] = [];
  for (let at = 0; at < body.length; at += fragmentBytes) {
    const fragment = encodeHandshakeFragment(
      HANDSHAKE_TYPE.clientHello,
      body.length,
      messageSeq,
      at,
      body.subarray(at, at + fragmentBytes),
    );
    const recordNumber = messageSeq * 10 + datagrams.length;
    datagrams.push(
      encodePlaintextRecord(CONTENT_TYPE.handshake, 0, recordNumber, fragment, 0xfeff),
    );
  }
  return datagrams;
}

/** What the server said: each handshake message or alert of its datagrams. */
interface Said {
  readonly type: number;
  readonly messageSeq: number;
  readonly body: Uint8Array;
  readonly recordNumber: number;
}

function said(datagrams: readonly Uint8Array[]): readonly Said[] {
  const messages: Said[] = [];
  for (const datagram of datagrams) {
    for (let at = 0; at < datagram.length;) {
      const record = decodeRecord(datagram, at);
      assert.ok(record.ok);
      at = record.value.end;
      const recordNumber = record.value.recordSequenceNumber;
      if (record.value.contentType === CONTENT_TYPE.alert)
        messages.push({ type: -1, messageSeq: -1, body: record.value.fragment, recordNumber });
      if (record.value.contentType !== CONTENT_TYPE.handshake) continue;
      const { type, messageSeq, fragment } = readHandshakeFragment(
        new ByteReader(record.value.fragment),
      );
      messages.push({ type, messageSeq, body: fragment, recordNumber });
    }
  }
  return messages;
}

const types = (datagrams: readonly Uint8Array[]): number[] =>
  said(datagrams).map(({ type }) => type);
const FLIGHT = [
  HANDSHAKE_TYPE.serverHello,
  HANDSHAKE_TYPE.certificate,
  HANDSHAKE_TYPE.serverKeyExchange,
  HANDSHAKE_TYPE.serverHelloDone,
];
const CHALLENGE = [HANDSHAKE_TYPE.helloVerifyRequest];

/** An endpoint and one address in front of it, which counts bytes. */
class Peer {
  now = instant(0);
  readonly endpoint: Endpoint;
  received = 0;
  sent = 0;

  constructor(options: Partial<EndpointOptions> = {}, mayCheck = true) {
    this.endpoint = new Endpoint(this.now, endpointOptions(options));
    if (mayCheck) this.check();
  }

  /** A connectivity check, which makes a session. */
  check(): void {
    const agent = new ControllingAgent(this.now, testCrypto(9), 'frag', TEST_ICE);
    const output = agent.poll();
    assert.ok(output?.type === 'transmit');
    this.send(output.data);
  }

  send(...datagrams: readonly Uint8Array[]): Uint8Array[] {
    const replies: Uint8Array[] = [];
    for (const datagram of datagrams) {
      this.received += datagram.length;
      this.endpoint.handleDatagram(this.now, REMOTE, datagram);
      replies.push(...this.drain());
    }
    return replies;
  }

  drain(): Uint8Array[] {
    const replies: Uint8Array[] = [];
    for (let next = this.endpoint.poll(); next !== null; next = this.endpoint.poll())
      if (next.type === 'transmit') replies.push(next.data);
    for (const { length } of replies) this.sent += length;
    return replies;
  }

  wait(ms: number): void {
    this.now = later(this.now, ms);
    this.endpoint.handleTimeout(this.now);
  }

  assertNotAmplified(): void {
    assert.ok(
      this.sent <= UNPROVEN_AMPLIFICATION_LIMIT * this.received,
      `${this.sent} bytes for ${this.received}`,
    );
  }

  /** The cookie for this hello. */
  cookieFor(hello: ClientHello, messageSeq = 0): Uint8Array {
    const [reply] = said(this.send(...helloDatagrams(hello, messageSeq)));
    assert.ok(reply?.type === HANDSHAKE_TYPE.helloVerifyRequest, `${reply?.type}`);
    const cookie = decodeHelloVerifyRequest(reply.body);
    assert.ok(cookie.ok);
    return cookie.value;
  }
}

/** A certificate that makes the first flight too large for any first ClientHello of ours. */
const LARGE_CERTIFICATE = {
  ...serverCertificate,
  der: concatBytes([serverCertificate.der, new Uint8Array(3000)]),
};

describe('a ClientHello whose reply would be too large', () => {
  it('is answered at once by a HelloVerifyRequest, and by the flight once the cookie is back', () => {
    const peer = new Peer();
    const [datagram] = helloDatagrams(smallHello());
    assert.ok(datagram !== undefined && datagram.length <= 92, `${datagram?.length}`);
    const challenge = peer.send(datagram);
    assert.deepEqual(types(challenge), CHALLENGE);
    assert.ok((challenge[0]?.length ?? 99) <= datagram.length, 'no larger than what it answers');
    peer.assertNotAmplified();
    const cookie = peer.cookieFor(smallHello());
    const flight = peer.send(...helloDatagrams(smallHello({ cookie }), 1));
    assert.deepEqual(types(flight), FLIGHT);
    assert.deepEqual(
      said(flight).map(({ messageSeq }) => messageSeq),
      [1, 2, 3, 4],
    );
    assert.deepEqual(peer.endpoint.counts, { sessions: 1, halfOpen: 1 }, 'the same session');
    assert.deepEqual(peer.endpoint.drops.snapshot(), {});
  });

  it('costs no key pair, signature or memory before the cookie is back', () => {
    const base = testCrypto(1);
    let expensive = 0;
    const crypto = {
      ...base,
      generateKeyShare: (group: NamedGroup) => {
        expensive += 1;
        return base.generateKeyShare(group);
      },
    };
    const peer = new Peer({ crypto, certificate: LARGE_CERTIFICATE });
    for (let i = 0; i < 500; i++)
      peer.send(...helloDatagrams(smallHello({ random: new Uint8Array(32).fill(i) })));
    assert.equal(expensive, 0);
    assert.deepEqual(peer.endpoint.counts, { sessions: 1, halfOpen: 1 });
    peer.assertNotAmplified();
  });

  it('comes in fragments: counted as a whole, so that honest ones are answered without a cookie', () => {
    const peer = new Peer();
    const datagrams = helloDatagrams(fullHello(300), 0, 64);
    assert.ok(datagrams.length >= 6);
    assert.deepEqual(types(peer.send(...datagrams)), FLIGHT);
    peer.assertNotAmplified();

    const small = new Peer();
    const replies = small.send(...helloDatagrams(smallHello(), 0, 45));
    assert.deepEqual(types(replies), CHALLENGE, 'one reply, though there are two fragments');
    const cookie = decodeHelloVerifyRequest(said(replies)[0]?.body ?? NO_BYTES);
    assert.ok(cookie.ok);
    const second = helloDatagrams(smallHello({ cookie: cookie.value }), 1, 68);
    assert.equal(second.length, 2);
    assert.deepEqual(types(small.send(...second)), FLIGHT);
  });

  it('lies about its length: it gets nothing by it', () => {
    const peer = new Peer();
    const body = encodeClientHello(smallHello());
    for (let i = 0; i < 100; i++) {
      const claim = encodeHandshakeFragment(HANDSHAKE_TYPE.clientHello, 4000, 0, 0, body);
      peer.send(encodePlaintextRecord(CONTENT_TYPE.handshake, 0, i, claim));
      peer.assertNotAmplified();
    }
  });

  it('is repeated with another random, or with the cookie of another address: challenged again', () => {
    const peer = new Peer({ certificate: LARGE_CERTIFICATE });
    const cookie = peer.cookieFor(smallHello());
    const other = smallHello({ random: new Uint8Array(32).fill(8), cookie });
    // RFC 6347 §4.2.1: as one without a cookie; and numbered so that the client takes it as new.
    const again = said(peer.send(...helloDatagrams(other, 1)));
    assert.deepEqual(
      again.map(({ type, messageSeq, recordNumber }) => [type, messageSeq, recordNumber]),
      [[HANDSHAKE_TYPE.helloVerifyRequest, 1, 10]],
    );
    const second = decodeHelloVerifyRequest(again[0]?.body ?? NO_BYTES);
    assert.ok(second.ok);
    const flight = said(peer.send(...helloDatagrams({ ...other, cookie: second.value }, 2)));
    assert.deepEqual(
      [...new Set(flight.map(({ type, messageSeq }) => `${type} ${messageSeq}`))],
      FLIGHT.map((type, i) => `${type} ${2 + i}`),
    );
  });

  it('is lost, duplicated, and returned too late: the handshake goes on', () => {
    const peer = new Peer({ certificate: LARGE_CERTIFICATE });
    const first = helloDatagrams(smallHello());
    peer.send(...first);
    peer.wait(1000);
    // The client's timer: the reply was lost.
    assert.deepEqual(types(peer.send(...first, ...first)), [...CHALLENGE, ...CHALLENGE]);
    const cookie = peer.cookieFor(smallHello());
    // Both secrets that a cookie could have been made with are gone.
    peer.check();
    for (let i = 0; i < 14; i++) {
      peer.wait(10_000);
      peer.check();
    }
    assert.deepEqual(types(peer.send(...helloDatagrams(smallHello({ cookie }), 1))), CHALLENGE);
  });

  it('is repeated before the reply has arrived: challenged again, though there is room by now', () => {
    const peer = new Peer();
    const first = helloDatagrams(smallHello());
    for (let i = 0; i < 20; i++) assert.deepEqual(types(peer.send(...first)), CHALLENGE);
    const cookie = peer.cookieFor(smallHello());
    const flight = said(peer.send(...helloDatagrams(smallHello({ cookie }), 1), ...first));
    assert.ok(
      flight.length >= FLIGHT.length && flight.every(({ messageSeq }) => messageSeq >= 1),
      'nothing numbered from 0, which the client would take for what it waits for',
    );
  });

  it('and the flight is lost: our timer sends it again, for the address is proven', () => {
    const peer = new Peer();
    const cookie = peer.cookieFor(smallHello());
    const second = helloDatagrams(smallHello({ cookie }), 1);
    assert.deepEqual(types(peer.send(...second)), FLIGHT);
    assert.ok(peer.endpoint.deadline !== null);
    peer.wait(peer.endpoint.deadline - peer.now);
    assert.deepEqual(types(peer.drain()), FLIGHT, 'by our timer');
    peer.wait(100);
    assert.deepEqual(types(peer.send(...second)), FLIGHT, 'by the client’s');
  });

  it('comes from an address without a session: the same, and a session by the cookie only', () => {
    const peer = new Peer({}, false);
    const cookie = peer.cookieFor(smallHello());
    assert.deepEqual(peer.endpoint.counts, { sessions: 0, halfOpen: 0 });
    // A check in between makes a session; the cookie is for the address, whichever has it.
    peer.check();
    assert.deepEqual(types(peer.send(...helloDatagrams(smallHello({ cookie }), 1))), FLIGHT);
    assert.deepEqual(peer.endpoint.counts, { sessions: 1, halfOpen: 1 });
  });

  it('is repeated when nothing more may be sent for it: never silence', () => {
    // Enough for one flight, and then only just less than for another.
    const peer = new Peer();
    const hello = helloDatagrams(fullHello(20));
    let silent = 0;
    for (let i = 0; i < 30; i++) {
      peer.wait(100);
      if (peer.send(...hello).length === 0) silent += 1;
      peer.assertNotAmplified();
    }
    assert.equal(silent, 0);
  });

  for (const lossRate of [0, 0.2]) {
    it(`leads to a session with our own client and a large certificate, ${lossRate * 100} % lost`, () => {
      for (let seed = 1; seed <= 8; seed++) {
        const net = new VirtualNetwork();
        const server = new EndpointHost(
          net.now,
          endpointOptions({ certificate: LARGE_CERTIFICATE }),
        );
        const client = new SessionHost(
          net.now,
          clientOptions({
            crypto: testCrypto(seed),
            remoteFingerprint: testCrypto(1).hash('sha256', LARGE_CERTIFICATE.der),
          }),
        );
        net.link(client, server, { latencyMs: 5, lossRate, seed });
        const isUp = net.runUntil(() => client.has('connected'), 12_000);
        assert.ok(isUp, `seed ${seed}: ${JSON.stringify(server.endpoint.drops.snapshot())}`);
        if (lossRate === 0) {
          assert.ok(net.now <= 100, `${net.now} ms: no timer was waited for`);
          assert.equal(server.endpoint.drops.get('session.amplificationLimit'), 0);
        }
      }
    });
  }

  it('stays within three times under mutations of the whole exchange', () => {
    const random = seededRandom(4);
    for (let seed = 0; seed < 40; seed++) {
      const peer = new Peer({ limits: { maxSessions: 5, cookieThreshold: 5, maxHalfOpen: 5 } });
      const cookie = peer.cookieFor(smallHello());
      const flights = [
        ...helloDatagrams(smallHello()),
        ...helloDatagrams(fullHello(40), 0, 50),
        ...helloDatagrams(smallHello({ cookie: cookie.slice(1) }), 1),
      ];
      for (const datagram of flights) {
        for (const mutated of mutations(datagram, 20, seed)) {
          peer.send(mutated);
          peer.wait(Math.floor(random() * 20));
          peer.assertNotAmplified();
          assert.ok(peer.endpoint.counts.sessions <= 1);
        }
      }
    }
  });
});

describe('the first flight', () => {
  it('is never larger than what is reckoned with', () => {
    for (const requestClientCertificate of [false, true]) {
      for (const certificate of [serverCertificate, LARGE_CERTIFICATE]) {
        const bound = maxFirstFlightBytes({ certificate, requestClientCertificate });
        let largest = 0;
        for (let i = 0; i < 40; i++) {
          const peer = new Peer({ requestClientCertificate, certificate });
          // From far more bytes than it takes: never challenged.
          peer.send(...helloDatagrams(fullHello(1400)));
          largest = Math.max(largest, peer.sent - 64);
        }
        assert.ok(largest <= bound, `${largest} of ${bound}`);
        // A signature is rarely of the largest size.
        const slack = certificate === LARGE_CERTIFICATE ? 30 : 6;
        assert.ok(largest >= bound - slack, `${largest} of ${bound}`);
      }
    }
  });

  it('answers use_srtp with one of the offered profiles and no MKI, whole and in fragments', () => {
    const answer = (data: Uint8Array, fragmentBytes: number): readonly number[] | null => {
      const extensions = new Map([...fullHello(600).extensions, [EXTENSION.useSrtp, data]]);
      const replies = new Peer().send(
        ...helloDatagrams(smallHello({ extensions }), 0, fragmentBytes),
      );
      const [serverHello] = said(replies);
      assert.equal(serverHello?.type, HANDSHAKE_TYPE.serverHello);
      const decoded = decodeServerHello(serverHello?.body ?? NO_BYTES);
      assert.ok(decoded.ok);
      const srtp = decoded.value.extensions.get(EXTENSION.useSrtp);
      assert.equal(srtp?.[4] ?? 0, 0, 'no MKI');
      return srtp === undefined ? null : readUseSrtp(srtp);
    };
    for (const size of [1100, 200]) {
      assert.deepEqual(answer(Uint8Array.of(0, 2, 0, 1, 0), size), [1]);
      assert.deepEqual(answer(Uint8Array.of(0, 4, 0, 1, 0, 7, 0), size), [7]);
      assert.deepEqual(answer(Uint8Array.of(0, 4, 0, 9, 0, 2, 3, 1, 2, 3), size), [2]);
      assert.equal(answer(Uint8Array.of(0, 4, 0, 9, 1, 1, 0), size), null, 'nothing in common');
    }
    assert.equal(SRTP_PROFILES.length, 4);
  });

  const refused: [string, ClientHello, number, string][] = [
    ['DTLS 1.0', fullHello(600, { version: 0xfeff }), 70, 'noCommonVersion'],
    ['RSA suites', fullHello(600, { cipherSuites: [0xc02f] }), 40, 'noCommonCipherSuite'],
    [
      'P-384 only',
      smallHello({
        extensions: new Map([
          ...fullHello(600).extensions,
          [EXTENSION.supportedGroups, Uint8Array.of(0, 2, 0, 24)],
        ]),
      }),
      40,
      'noCommonGroup',
    ],
    [
      'a malformed use_srtp',
      smallHello({
        extensions: new Map([
          ...fullHello(600).extensions,
          [EXTENSION.useSrtp, Uint8Array.of(0, 3, 0, 1, 0)],
        ]),
      }),
      50,
      'useSrtp',
    ],
  ];
  for (const [name, hello, description, reason] of refused) {
    it(`is an alert for ${name}, and counted`, () => {
      const peer = new Peer();
      const replies = said(peer.send(...helloDatagrams(hello)));
      assert.deepEqual(
        replies.map(({ type, body }) => [type, ...body]),
        [[-1, 2, description]],
      );
      assert.deepEqual(peer.endpoint.drops.snapshot(), { [`dtls.refused.${reason}`]: 1 });
      assert.equal(peer.endpoint.counts.sessions, 0);
    });
  }

  it('takes what else stacks offer: tickets, resumption, other extensions, a large hello', () => {
    const extensions = new Map([
      ...fullHello(0).extensions,
      [1, Uint8Array.of(4)], // max_fragment_length
      [5, Uint8Array.of(1, 0, 0, 0, 0)], // status_request
      [22, NO_BYTES], // encrypt_then_mac
      [28, Uint8Array.of(0x40, 1)], // record_size_limit
      [35, new Uint8Array(180)], // session_ticket
      [54, Uint8Array.of(4, 1, 2, 3, 4)], // connection_id
      [0x0a0a, NO_BYTES], // GREASE
      [43, Uint8Array.of(4, 0xfe, 0xfc, 0xfe, 0xfd)], // supported_versions: 1.3, 1.2
      [51, new Uint8Array(3000)], // key_share: post-quantum, more than one
    ]);
    const hello = smallHello({ extensions, sessionId: new Uint8Array(32).fill(3) });
    const replies = said(new Peer().send(...helloDatagrams(hello, 0, 700)));
    assert.deepEqual(
      replies.map(({ type }) => type),
      FLIGHT,
    );
    const decoded = decodeServerHello(replies[0]?.body ?? NO_BYTES);
    assert.ok(decoded.ok);
    const offered = decodeClientHello(encodeClientHello(hello));
    assert.ok(offered.ok);
    for (const type of decoded.value.extensions.keys())
      assert.ok(offered.value.extensions.has(type) || type === EXTENSION.renegotiationInfo);
  });
});
