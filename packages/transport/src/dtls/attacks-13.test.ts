import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ByteReader, concatBytes, instant } from '@lumamesh/base';
import { endpointOptions, mutations, randomDatagrams, testCrypto } from '@lumamesh/testkit';
import { Endpoint } from '../endpoint.ts';
import { nodeCrypto } from '../io/node-crypto.ts';
import { ControllingAgent } from '../ice/controlling-agent.ts';
import { Wire } from './dtls-wire.test-support.ts';
import { encodeAck } from './message/ack.ts';
import { encodeAlert } from './message/alert.ts';
import { type ClientHello, decodeClientHello, encodeClientHello } from './message/client-hello.ts';
import { EXTENSION, NAMED_GROUP_ID } from './message/extensions.ts';
import {
  HANDSHAKE_TYPE,
  encodeHandshakeFragment,
  readHandshakeFragment,
} from './message/handshake-header.ts';
import { encodeHelloVerifyRequest } from './message/hello-verify-request.ts';
import { encodeClientShares } from './message/key-share.ts';
import { decodeServerHello, encodeServerHello } from './message/server-hello.ts';
import { CONTENT_TYPE, decodeRecord, encodePlaintextRecord } from './record/record.ts';
import { encodeRetryRequest } from './retry-request.ts';

/* Somebody on the path of two peers of DTLS 1.3, and clients that do not play by the rules. */
const NO_BYTES = new Uint8Array(0);
type Change = (hello: ClientHello) => ClientHello;

function plaintext(type: number, body: Uint8Array, seq: number, number = 40): Uint8Array {
  const fragment = encodeHandshakeFragment(type, body.length, seq, 0, body);
  return encodePlaintextRecord(CONTENT_TYPE.handshake, 0, number, fragment);
}

/** Puts another ClientHello in the place of the client's. */
function withHello(wire: Wire, change: Change): void {
  const parts: Uint8Array[] = [];
  wire.change = (from, data) => {
    const record = decodeRecord(data, 0);
    if (from !== 'client' || !record.ok || record.value.contentType !== CONTENT_TYPE.handshake)
      return [data];
    const { type, messageSeq, length, fragment } = readHandshakeFragment(
      new ByteReader(record.value.fragment),
    );
    if (type !== HANDSHAKE_TYPE.clientHello) return [data];
    parts.push(fragment);
    const body = concatBytes(parts);
    if (body.length < length) return [];
    parts.length = 0;
    const hello = decodeClientHello(body);
    assert.ok(hello.ok);
    return [plaintext(type, encodeClientHello(change(hello.value)), messageSeq)];
  };
}

function without(hello: ClientHello, ...types: number[]): ClientHello {
  const extensions = new Map(hello.extensions);
  for (const type of types) extensions.delete(type);
  return { ...hello, extensions };
}

/** Puts a ServerHello with another random in the place of the server's. */
function withServerRandom(wire: Wire, change: (random: Uint8Array) => void): void {
  const before = wire.change;
  wire.change = (from, data) => {
    const record = decodeRecord(data, 0);
    if (from !== 'server' || !record.ok) return before(from, data);
    const message = readHandshakeFragment(new ByteReader(record.value.fragment));
    const hello = decodeServerHello(message.fragment);
    if (message.type !== HANDSHAKE_TYPE.serverHello || !hello.ok) return [data];
    const random = hello.value.random.slice();
    change(random);
    const changed = encodeServerHello({ ...hello.value, random });
    return [plaintext(message.type, changed, message.messageSeq), data.subarray(record.value.end)];
  };
}

describe('two peers of DTLS 1.3 are not brought to 1.2', () => {
  const strip: Change = (hello) => without(hello, EXTENSION.supportedVersions);

  it('by a ClientHello without the version: the server’s mark tells the client', () => {
    const wire = new Wire();
    withHello(wire, strip);
    wire.run(20_000);
    assert.equal(wire.ended('client'), 'handshakeFailed: downgrade');
    assert.ok(!wire.has('server', 'connected'));
  });

  it('by taking the mark away as well: the server has signed it', () => {
    const wire = new Wire();
    withHello(wire, strip);
    withServerRandom(wire, (random) => random.fill(7, 24));
    wire.run(20_000);
    assert.equal(wire.ended('client'), 'handshakeFailed: serverKeyExchange');
    assert.ok(!wire.has('server', 'connected'));
  });

  it('by a HelloVerifyRequest: a server of 1.3 takes no cookie of 1.2', () => {
    const wire = new Wire();
    let isFirst = true;
    wire.change = (from, data) => {
      if (from !== 'client' || !isFirst) return [data];
      isFirst = false;
      const body = encodeHelloVerifyRequest(Uint8Array.of(1, 2, 3));
      wire.client.handleDatagram(wire.now, plaintext(HANDSHAKE_TYPE.helloVerifyRequest, body, 0));
      return [];
    };
    wire.run(20_000);
    assert.equal(wire.ended('server'), 'handshakeFailed: legacyCookie');
    assert.ok(!wire.has('client', 'connected'));
  });

  it('nor to another group: the transcript is not the same on both sides', () => {
    const wire = new Wire();
    withHello(wire, (hello) => {
      const shares = hello.extensions.get(EXTENSION.keyShare) ?? NO_BYTES;
      // Behind the hybrid share, the one of X25519: 36 bytes.
      const x25519 = concatBytes([Uint8Array.of(0, 36), shares.subarray(-36)]);
      const extensions = new Map([...hello.extensions, [EXTENSION.keyShare, x25519]]);
      return { ...hello, extensions };
    });
    wire.run(20_000);
    assert.ok(!wire.has('client', 'connected') && !wire.has('server', 'connected'));
  });
});

describe('HelloRetryRequests', () => {
  const retry = (fields: Partial<Parameters<typeof encodeRetryRequest>[0]>): Uint8Array =>
    encodeRetryRequest({ suiteId: 0x1301, group: null, cookie: null, ...fields });
  const answer = (...bodies: Uint8Array[]): string | null => {
    const wire = new Wire();
    wire.lose = () => true;
    wire.run(1);
    bodies.forEach((body, seq) =>
      wire.client.handleDatagram(wire.now, plaintext(HANDSHAKE_TYPE.serverHello, body, seq, seq)),
    );
    wire.run(1);
    return wire.ended('client');
  };

  it('are followed once, and only where they change something', () => {
    const cookie = Uint8Array.of(1, 2, 3);
    assert.equal(answer(retry({ cookie })), null);
    assert.equal(
      answer(retry({ cookie }), retry({ cookie })),
      'handshakeFailed: unexpectedMessage',
      'a loop',
    );
    assert.equal(answer(retry({ group: 'secp256r1' })), null);
    assert.equal(answer(retry({ group: 'x25519' })), 'handshakeFailed: retryRequest', 'is there');
    assert.equal(answer(retry({})), 'handshakeFailed: retryRequest', 'nothing is asked for');
    assert.equal(answer(retry({ cookie, suiteId: 0x1304 })), 'handshakeFailed: cipherSuite');
  });

  it('are taken with every byte of them changed', () => {
    const body = retry({ cookie: new Uint8Array(20), group: 'secp256r1' });
    for (const mutated of mutations(body, 500, 3)) answer(mutated);
  });
});

describe('key shares that are none', () => {
  const [crypto] = [testCrypto(1)];
  const respond = (group: keyof typeof NAMED_GROUP_ID, key: Uint8Array): unknown =>
    crypto.respondToKeyShare(group, key);
  const honest = {
    x25519: crypto.generateKeyShare('x25519').publicKey,
    secp256r1: crypto.generateKeyShare('secp256r1').publicKey,
    x25519mlkem768: crypto.generateKeyShare('x25519mlkem768').publicKey,
  };

  it('give no secret: of low order, off the curve, of another length, with coefficients too large', () => {
    for (const [group, key] of Object.entries(honest)) {
      const name = group as keyof typeof honest;
      assert.ok(respond(name, key) !== null);
      for (const length of [0, 1, key.length - 1, key.length + 1])
        assert.equal(respond(name, new Uint8Array(length).fill(4)), null, `${group} ${length}`);
      assert.equal(respond(name, new Uint8Array(key.length)), null, `${group}: zeros`);
    }
    const point = honest.secp256r1.slice();
    point[40] = (point[40] ?? 0) ^ 1;
    assert.equal(respond('secp256r1', point), null);
    const lowOrder = honest.x25519mlkem768.slice();
    lowOrder.fill(0, 1184);
    assert.equal(respond('x25519mlkem768', lowOrder), null, 'X25519 of low order');
    // FIPS 203 §7.2: coefficients are below 3329; these have 4095.
    const modulus = honest.x25519mlkem768.slice();
    modulus.fill(0xff, 0, 3);
    assert.equal(respond('x25519mlkem768', modulus), null, 'an ML-KEM key that is none');
  });

  it('end the handshake by an alert, and cost no signature', () => {
    let signatures = 0;
    const counting = {
      ...nodeCrypto,
      signEcdsaP256: (...args: Parameters<typeof nodeCrypto.signEcdsaP256>) => {
        signatures += 1;
        return nodeCrypto.signEcdsaP256(...args);
      },
    };
    const shares: [number, number][] = [
      [NAMED_GROUP_ID.x25519mlkem768, 1216],
      [NAMED_GROUP_ID.x25519mlkem768, 1215],
      [NAMED_GROUP_ID.x25519, 32],
      [NAMED_GROUP_ID.secp256r1, 65],
    ];
    for (const [groupId, length] of shares) {
      const endpoint = new Endpoint(instant(0), endpointOptions({ crypto: counting }));
      const remote = { address: '192.0.2.9', port: 9 };
      const agent = new ControllingAgent(instant(0), testCrypto(3), 'frag', {
        ufrag: 'luma',
        password: '0123456789abcdef0123456789abcdef',
      });
      const check = agent.poll();
      assert.ok(check?.type === 'transmit');
      endpoint.handleDatagram(instant(0), remote, check.data);
      const body = encodeClientHello({
        version: 0xfefd,
        random: new Uint8Array(32).fill(7),
        sessionId: NO_BYTES,
        cookie: NO_BYTES,
        cipherSuites: [0x1301],
        compressionMethods: Uint8Array.of(0),
        extensions: new Map([
          [EXTENSION.supportedVersions, Uint8Array.of(2, 0xfe, 0xfc)],
          [EXTENSION.supportedGroups, Uint8Array.of(0, 2, groupId >> 8, groupId & 0xff)],
          [EXTENSION.signatureAlgorithms, Uint8Array.of(0, 2, 4, 3)],
          [
            EXTENSION.keyShare,
            encodeClientShares([{ groupId, publicKey: new Uint8Array(length) }]),
          ],
          [EXTENSION.padding, new Uint8Array(700)],
        ]),
      });
      endpoint.handleDatagram(instant(1), remote, plaintext(HANDSHAKE_TYPE.clientHello, body, 0));
      const replies: Uint8Array[] = [];
      for (let out = endpoint.poll(); out !== null; out = endpoint.poll())
        if (out.type === 'transmit' && (out.data[0] ?? 0) >= 20) replies.push(out.data);
      // alert, fatal, illegal_parameter
      assert.deepEqual(
        replies.map((data) => [data[0], ...data.subarray(13)]),
        [[CONTENT_TYPE.alert, 2, 47]],
        `${groupId} ${length}`,
      );
      assert.equal(endpoint.counts.sessions, 0);
      assert.equal(endpoint.drops.get('dtls.refused.keyShare'), 1);
    }
    assert.equal(signatures, 0);
  });
});

describe('strangers who can write into a handshake of DTLS 1.3', () => {
  /** Sends this to a side whenever a datagram of the other comes. */
  const disturbed = (datagram: Uint8Array): Wire => {
    const wire = new Wire();
    wire.change = (_, data) => [datagram, data];
    return wire.run(5000);
  };
  const numbers = Array.from({ length: 40 }, (_, i) => ({
    epoch: i % 4,
    recordSequenceNumber: i >> 2,
  }));
  const forgeries: [string, Uint8Array][] = [
    ['ACKs in the clear', encodePlaintextRecord(CONTENT_TYPE.ack, 0, 9, encodeAck(numbers))],
    [
      'fatal alerts in the clear',
      encodePlaintextRecord(CONTENT_TYPE.alert, 0, 9, encodeAlert({ level: 2, description: 40 })),
    ],
    ['records of epoch 1', encodePlaintextRecord(CONTENT_TYPE.handshake, 1, 0, new Uint8Array(60))],
    ['records of epoch 2', Uint8Array.of(0x2e, 1, 2, 0, 60, ...new Uint8Array(60))],
    ['records of epoch 3 without a length', Uint8Array.of(0x23, 1, ...new Uint8Array(60))],
    ['a Finished in the clear', plaintext(HANDSHAKE_TYPE.finished, new Uint8Array(32), 1)],
    ['messages from far ahead', plaintext(HANDSHAKE_TYPE.certificate, new Uint8Array(900), 3)],
  ];
  for (const [name, datagram] of forgeries) {
    it(`end nothing and stop nothing by ${name}`, () => {
      const wire = disturbed(datagram);
      assert.ok(wire.has('client', 'connected') && wire.has('server', 'connected'));
      wire.client.send(Uint8Array.of(5));
      wire.server.send(Uint8Array.of(6));
      wire.run(500);
      assert.deepEqual([wire.data('server'), wire.data('client')], [[5], [6]]);
    });
  }

  it('cannot replay a record in another epoch, nor make data of the server’s its own', () => {
    const wire = new Wire().run(500);
    wire.client.send(Uint8Array.of(5));
    wire.run(1);
    const last = wire.sent.at(-1)?.data ?? NO_BYTES;
    for (let first = 32; first < 64; first++) {
      const replay = last.slice();
      replay[0] = first;
      wire.server.handleDatagram(wire.now, replay);
      wire.client.handleDatagram(wire.now, replay);
    }
    wire.run(100);
    assert.deepEqual([wire.data('server'), wire.data('client')], [[5], []]);
    assert.equal(wire.ended('server'), null);
  });

  it('make it open one record of a datagram, however many they forge', () => {
    const wire = new Wire().run(500);
    wire.client.send(Uint8Array.of(5));
    wire.lose = () => true;
    wire.run(1);
    const record = wire.sent.at(-1)?.data ?? NO_BYTES;
    const forged = record.slice();
    forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1;
    const datagram = concatBytes([...Array.from({ length: 100 }, () => forged), record]);
    assert.equal(wire.server.handleDatagram(wire.now, datagram), 'dtls.record.unauthentic');
    wire.run(1);
    assert.deepEqual(wire.data('server'), []);
    assert.equal(wire.server.handleDatagram(wire.now, record), null);
    wire.run(1);
    assert.deepEqual(wire.data('server'), [5]);
  });

  it('with any number of damaged datagrams, of either side, before and after', () => {
    for (let seed = 0; seed < 6; seed++) {
      const wire = new Wire();
      wire.change = (_, data) => [...mutations(data, 20, seed), ...randomDatagrams(3, seed), data];
      wire.run(3000);
      // Damage in a ClientHello may begin a handshake of its own: that ends, and nothing throws.
      if (!wire.has('server', 'connected')) continue;
      wire.client.send(Uint8Array.of(1));
      wire.run(10);
      assert.ok(wire.data('server').length <= 1);
    }
  });
});
