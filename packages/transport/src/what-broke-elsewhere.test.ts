import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { concatBytes, instant, writeUint16, type NamedGroup } from '@lumamesh/base';
import {
  type SessionPair,
  clientOptions,
  connectedPair,
  sessionPair,
  testCrypto,
} from '@lumamesh/testkit';
import { encodeAlert } from './dtls/message/alert.ts';
import { encodeHandshakeFragment } from './dtls/message/handshake-header.ts';
import { CONTENT_TYPE, decodeRecord, encodePlaintextRecord } from './dtls/record/record.ts';
import type { SecurityOptions } from './dtls/security-options.ts';
import { Session } from './session.ts';

/*
 * Faults that were reproduced on published WebRTC stacks, each with the test that it does not exist
 * here. Those that live in one unit are tested beside it and named at the end of this file.
 */

/** Sends a datagram to the server as if it came from the client's address. */
function spoof(pair: SessionPair, datagram: Uint8Array): void {
  pair.server.handleDatagram(pair.net.now, datagram);
  pair.net.touch(pair.server);
}

function assertAlive(pair: SessionPair): void {
  const text = `alive at ${pair.net.now}`;
  assert.ok(pair.client.session.send(pair.net.now, 0, text));
  pair.net.touch(pair.client);
  assert.ok(pair.net.runUntil(() => pair.server.messages().includes(text), 2000));
}

/** A client whose datagrams are changed on their way; `change` answers what arrives instead. */
function tamperingPair(
  change: (datagram: Uint8Array) => Uint8Array,
  security: SecurityOptions = {},
): SessionPair {
  const pair = sessionPair({ client: { security } });
  const receive = pair.server.handleDatagram.bind(pair.server);
  pair.server.handleDatagram = (now, data) => receive(now, change(data));
  return pair;
}

const BY_12 = { maxVersion: '1.2' } as const;

describe('what broke elsewhere', () => {
  it('the client’s Finished is verified', () => {
    // The record of the Finished is replaced by one that says something else: without the keys it
    // cannot be sealed, so it must not be believed.
    const pair = tamperingPair((datagram) => {
      let offset = 0;
      const records: Uint8Array[] = [];
      while (offset < datagram.length) {
        const record = decodeRecord(datagram, offset);
        if (!record.ok) return datagram;
        const isFinished =
          record.value.epoch === 1 && record.value.contentType === CONTENT_TYPE.handshake;
        records.push(
          isFinished
            ? encodePlaintextRecord(
                CONTENT_TYPE.handshake,
                0,
                9,
                encodeHandshakeFragment(20, 12, 2, 0, new Uint8Array(12)),
              )
            : datagram.slice(offset, record.value.end),
        );
        offset = record.value.end;
      }
      return concatBytes(records);
    }, BY_12);
    pair.net.run(20_000);
    assert.ok(!pair.server.has('secure'));
    assert.ok(!pair.server.messages().length);
  });

  it('a client with a changed transcript does not get through', () => {
    // One bit of the ClientHello's random differs between what the client hashed and what the
    // server saw.
    const pair = tamperingPair((datagram) => {
      if (datagram[0] !== CONTENT_TYPE.handshake || datagram[13] !== 1) return datagram;
      const changed = datagram.slice();
      changed[40] = (changed[40] ?? 0) ^ 1;
      return changed;
    });
    pair.net.run(20_000);
    assert.ok(!pair.server.has('secure') && !pair.client.has('secure'));
  });

  it('no record number is used twice under one key, whatever is retransmitted', () => {
    for (let seed = 1; seed <= 10; seed++) {
      const pair = sessionPair({
        link: { latencyMs: 10, lossRate: 0.25, seed },
        client: { security: BY_12 },
      });
      pair.net.run(14_000);
      for (const host of [pair.client, pair.server]) {
        const sealed = new Map<string, string>();
        for (const { from, data } of pair.net.sent) {
          if (from !== host) continue;
          for (
            let offset = 0, record = decodeRecord(data, 0);
            record.ok;
            offset = record.value.end, record = decodeRecord(data, offset)
          ) {
            if (record.value.epoch !== 1) continue;
            const key = String(record.value.recordSequenceNumber);
            const bytes = Buffer.from(record.value.fragment).toString('hex');
            // The same number may only ever stand on the very same bytes: a cached flight sent
            // again.
            assert.equal(sealed.get(key) ?? bytes, bytes, `seed ${seed}`);
            sealed.set(key, bytes);
          }
        }
      }
    }
  });

  it('an unauthenticated ClientHello or alert does not touch a live session', () => {
    const pair = connectedPair();
    const hello = pair.net.sent.find(
      ({ data }) => data[0] === CONTENT_TYPE.handshake && data[13] === 1,
    );
    assert.ok(hello !== undefined);
    const before = pair.net.sent.length;
    spoof(pair, hello.data);
    for (const description of [0, 40, 80])
      spoof(
        pair,
        encodePlaintextRecord(CONTENT_TYPE.alert, 0, 99, encodeAlert({ level: 2, description })),
      );
    spoof(pair, encodePlaintextRecord(CONTENT_TYPE.changeCipherSpec, 0, 99, Uint8Array.of(1)));
    assert.equal(pair.net.sent.length, before, 'nothing is answered');
    assert.equal(pair.server.endpoint.drops.get('dtls.epoch0AfterFinished'), 5);
    assertAlive(pair);
    assert.ok(!pair.server.has('closed'));
  });

  it('an unauthenticated alert does not end a handshake either', () => {
    const pair = sessionPair();
    pair.net.runUntil(
      () =>
        pair.net.sent.some(
          ({ from, data }) => from === pair.server && data[0] === CONTENT_TYPE.handshake,
        ),
      2000,
    );
    spoof(
      pair,
      encodePlaintextRecord(CONTENT_TYPE.alert, 0, 99, encodeAlert({ level: 2, description: 40 })),
    );
    pair.client.handleDatagram(
      pair.net.now,
      encodePlaintextRecord(CONTENT_TYPE.alert, 0, 99, encodeAlert({ level: 2, description: 40 })),
    );
    assert.ok(
      pair.net.runUntil(() => pair.client.has('connected') && pair.server.has('connected'), 5000),
    );
  });

  it('a replayed record is dropped, and a forged one moves no window', () => {
    const pair = connectedPair();
    pair.client.session.send(pair.net.now, 0, 'once');
    pair.net.touch(pair.client);
    const datagram = pair.net.sent.filter(({ from }) => from === pair.client).at(-1);
    assert.ok(datagram !== undefined);
    pair.net.run(500);
    const forged = datagram.data.slice();
    writeUint16(forged, 5, 0x7fff);
    spoof(pair, forged);
    for (let i = 0; i < 5; i++) spoof(pair, datagram.data);
    assert.deepEqual(pair.server.messages(), ['once']);
    assert.equal(pair.server.endpoint.drops.get('dtls.record.replayed'), 5);
    assert.equal(pair.server.endpoint.drops.get('dtls.record.unauthentic'), 1);
    assertAlive(pair);
  });

  it('a datagram of three bytes, of one, of none', () => {
    const pair = connectedPair();
    for (const first of [0, 1, 20, 22, 23, 63, 64, 255])
      for (const length of [0, 1, 2, 3, 12, 13, 14])
        spoof(pair, new Uint8Array(length).fill(first));
    assertAlive(pair);
  });

  it('fragments of 26 bytes that announce 16 MB make nobody allocate', () => {
    const before = process.memoryUsage().arrayBuffers;
    const pair = sessionPair();
    pair.net.runUntil(() => pair.server.endpoint.counts.sessions === 1, 1000);
    for (let i = 0; i < 10_000; i++) {
      spoof(
        pair,
        encodePlaintextRecord(
          CONTENT_TYPE.handshake,
          0,
          i,
          encodeHandshakeFragment(1, 0xffffff, i % 4, i, Uint8Array.of(1)),
        ),
      );
    }
    assert.ok(process.memoryUsage().arrayBuffers - before < 50_000_000);
    assert.ok(pair.server.endpoint.drops.get('dtls.handshake.tooLarge') > 0);
  });

  it('no key pair is made, and nothing signed, before a cookie is checked', () => {
    let expensive = 0;
    const base = testCrypto(1);
    const crypto = {
      ...base,
      generateKeyShare: (group: NamedGroup) => {
        expensive += 1;
        return base.generateKeyShare(group);
      },
      respondToKeyShare: (...args: Parameters<typeof base.respondToKeyShare>) => {
        expensive += 1;
        return base.respondToKeyShare(...args);
      },
      signEcdsaP256: (...args: Parameters<typeof base.signEcdsaP256>) => {
        expensive += 1;
        return base.signEcdsaP256(...args);
      },
    };
    const pair = sessionPair({
      endpoint: { crypto, limits: { maxSessions: 10, cookieThreshold: 0, maxHalfOpen: 10 } },
    });
    pair.net.runUntil(
      () =>
        pair.net.sent.some(
          ({ from, data }) => from === pair.server && data[0] === CONTENT_TYPE.handshake,
        ),
      2000,
    );
    assert.equal(expensive, 0, 'the first answer asks for a cookie');
    assert.equal(pair.server.endpoint.counts.sessions, 0);
    assert.ok(pair.net.runUntil(() => pair.client.has('connected'), 3000));
    assert.equal(expensive, 2);
  });

  it('a cookie is good for one address and one ClientHello only', () => {
    const pair = sessionPair({
      endpoint: { limits: { maxSessions: 10, cookieThreshold: 0, maxHalfOpen: 10 } },
    });
    pair.net.runUntil(
      () =>
        pair.net.sent.filter(
          ({ from, data }) => from === pair.client && data[0] === CONTENT_TYPE.handshake,
        ).length === 2,
      2000,
    );
    const withCookie = pair.net.sent
      .filter(({ from, data }) => from === pair.client && data[0] === CONTENT_TYPE.handshake)
      .at(-1);
    assert.ok(withCookie !== undefined);
    pair.server.endpoint.handleDatagram(
      pair.net.now,
      { address: '203.0.113.66', port: 9 },
      withCookie.data,
    );
    const otherRandom = withCookie.data.slice();
    otherRandom[30] = (otherRandom[30] ?? 0) ^ 1;
    pair.server.endpoint.handleDatagram(pair.net.now, pair.server.remote, otherRandom);
    assert.equal(pair.server.endpoint.counts.sessions, 0);
  });

  it('the first answer does not wait for the window: a_rwnd is taken from the INIT', () => {
    const latencyMs = 10;
    const pair = sessionPair({ link: { latencyMs } });
    pair.server.onEvent = (sessionId, event) => {
      if (event.type === 'message') pair.server.endpoint.send(pair.net.now, sessionId, 0, 'answer');
    };
    pair.client.onEvent = (event) => {
      if (event.type === 'connected') pair.client.session.send(pair.net.now, 0, 'question');
    };
    assert.ok(pair.net.runUntil(() => pair.client.messages().length === 1, 1000));
    assert.ok(pair.net.now <= 10 * latencyMs + 1, `${pair.net.now} ms`);
  });

  it('an error in one session is no error of another', () => {
    const client = Session.client(instant(0), clientOptions(), () => undefined);
    client.close(instant(0));
    client.handleDatagram(instant(1), new Uint8Array(50));
    client.handleTimeout(instant(1_000_000));
    assert.ok(client.isClosed);
  });
});

/*
 * Elsewhere:
 *   CertificateVerify not verified ............................ session.test.ts, "proves the client …"
 *   SCTP chunk of length 0, bad CRC ........................... sctp/chunk/chunks.test.ts
 *   one SACK full of gap blocks, unordered blocks ............. sctp/chunk/chunks.test.ts, sctp/association.test.ts
 *   receive window not enforced ............................... sctp/association.test.ts, "announces a smaller window …"
 *   TSNs sorted as text ....................................... sctp/queue/queues.test.ts, across the wrap
 *   T3 without back-off or limit .............................. sctp/association.test.ts, "backs off and gives up …"
 *   INIT in ESTABLISHED, state cookie not bound ............... sctp/association.test.ts, "is not moved by an INIT …"
 *   maxRetransmits = 0 treated as reliable .................... sctp/queue/queues.test.ts, sctp/association.test.ts
 *   STUN codec that enforces policy ........................... stun/message.test.ts: it decodes what ice/ then refuses
 */
