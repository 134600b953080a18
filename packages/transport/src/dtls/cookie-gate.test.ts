import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ByteReader, type Instant, concatBytes, fromHex, instant, later } from '@lumamesh/base';
import { browserFlights, endpointOptions, mutations, testCrypto } from '@lumamesh/testkit';
import { UNPROVEN_AMPLIFICATION_LIMIT } from '../amplification-limit.ts';
import { Endpoint } from '../endpoint.ts';
import type { Remote } from '../five-tuple.ts';
import { CookieGate } from './cookie-gate.ts';
import { type ClientHello, decodeClientHello, encodeClientHello } from './message/client-hello.ts';
import { EXTENSION, type Extensions } from './message/extensions.ts';
import {
  HANDSHAKE_TYPE,
  encodeHandshakeFragment,
  readHandshakeFragment,
} from './message/handshake-header.ts';
import { decodeServerHello } from './message/server-hello.ts';
import { CONTENT_TYPE, decodeRecord, encodePlaintextRecord } from './record/record.ts';
import { isRetryRequest } from './retry-request.ts';

/* The cookie of DTLS 1.3 under load, with the ClientHellos of real browsers. */
const REMOTE: Remote = { address: '192.0.2.5', port: 5005 };
const LIMITS = { maxSessions: 10, cookieThreshold: 0, maxHalfOpen: 10 };
const NO_BYTES = new Uint8Array(0);

function browserHello(name: string): ClientHello {
  const flight = browserFlights()[name];
  assert.ok(flight !== undefined);
  const body = concatBytes(
    flight.clientHelloDatagrams.map((hex) => {
      const record = decodeRecord(fromHex(hex) ?? NO_BYTES, 0);
      assert.ok(record.ok);
      return readHandshakeFragment(new ByteReader(record.value.fragment)).fragment;
    }),
  );
  const hello = decodeClientHello(body);
  assert.ok(hello.ok);
  return hello.value;
}

/** In datagrams with so many bytes of the ClientHello each. */
function datagrams(hello: ClientHello, messageSeq: number, fragmentBytes: number): Uint8Array[] {
  const body = encodeClientHello(hello);
  const out: Uint8Array[] = [];
  for (let at = 0; at < body.length; at += fragmentBytes) {
    const part = body.subarray(at, at + fragmentBytes);
    const type = HANDSHAKE_TYPE.clientHello;
    const fragment = encodeHandshakeFragment(type, body.length, messageSeq, at, part);
    out.push(encodePlaintextRecord(CONTENT_TYPE.handshake, 0, 7 + out.length, fragment, 0xfeff));
  }
  return out;
}

/** The hello with a cookie extension in front of the one at `index`. */
function withCookie(hello: ClientHello, cookie: Uint8Array, index: number): ClientHello {
  const extensions: [number, Uint8Array][] = [...hello.extensions];
  const data = concatBytes([Uint8Array.of(0, cookie.length), cookie]);
  extensions.splice(index, 0, [EXTENSION.cookie, data]);
  return { ...hello, extensions: new Map(extensions) };
}

class Front {
  now: Instant = instant(0);
  received = 0;
  sent = 0;
  readonly endpoint = new Endpoint(instant(0), endpointOptions({ limits: LIMITS }));

  send(...data: Uint8Array[]): Uint8Array[] {
    return this.from(REMOTE, ...data);
  }

  from(remote: Remote, ...data: Uint8Array[]): Uint8Array[] {
    const replies: Uint8Array[] = [];
    for (const datagram of data) {
      this.received += datagram.length;
      this.endpoint.handleDatagram(this.now, remote, datagram);
      for (let out = this.endpoint.poll(); out !== null; out = this.endpoint.poll())
        if (out.type === 'transmit') replies.push(out.data);
    }
    this.sent += replies.reduce((sum, { length }) => sum + length, 0);
    return replies;
  }
}

/** What a ServerHello in a datagram says, or `null`. */
function serverHello(
  datagram: Uint8Array | undefined,
): { readonly isRetry: boolean; readonly extensions: Extensions; readonly seq: number } | null {
  const record = decodeRecord(datagram ?? NO_BYTES, 0);
  if (!record.ok || record.value.contentType !== CONTENT_TYPE.handshake) return null;
  const message = readHandshakeFragment(new ByteReader(record.value.fragment));
  const hello = decodeServerHello(message.fragment);
  if (message.type !== HANDSHAKE_TYPE.serverHello || !hello.ok) return null;
  return {
    isRetry: isRetryRequest(hello.value),
    extensions: hello.value.extensions,
    seq: message.messageSeq,
  };
}

function cookieIn(datagram: Uint8Array | undefined): Uint8Array {
  const hello = serverHello(datagram);
  assert.ok(hello?.isRetry === true, 'a HelloRetryRequest');
  assert.ok(!hello.extensions.has(EXTENSION.keyShare), 'nothing but the cookie is asked for');
  return (hello.extensions.get(EXTENSION.cookie) ?? NO_BYTES).slice(2);
}

describe('the cookie of DTLS 1.3', () => {
  for (const [name, size] of [
    ['chromium-156', 1175],
    ['firefox-esr-153', 1383],
  ] as const) {
    it(`${name}: is found wherever the second ClientHello has it, and costs one small reply`, () => {
      const hello = browserHello(name);
      for (let index = 0; index <= hello.extensions.size; index++) {
        const front = new Front();
        const challenge = front.send(...datagrams(hello, 0, size));
        assert.equal(challenge.length, 1, 'one reply to two datagrams');
        assert.ok((challenge[0]?.length ?? 999) < 110, `${challenge[0]?.length}`);
        assert.equal(front.endpoint.counts.sessions, 0);
        const cookie = cookieIn(challenge[0]);
        const [flight, ...more] = front.send(
          ...datagrams(withCookie(hello, cookie, index), 1, size),
        );
        const answer = serverHello(flight);
        assert.ok(answer !== null && !answer.isRetry, `cookie before extension ${index}`);
        assert.equal(answer.seq, 1, 'numbered behind the HelloRetryRequest');
        // Two datagrams of flight, and the INIT.
        assert.equal(more.length, 2);
        assert.equal(front.endpoint.counts.sessions, 1);
      }
    });

    it(`${name}: is found over a cut anywhere in it`, () => {
      const hello = browserHello(name);
      const last = hello.extensions.size;
      const whole = encodeClientHello(withCookie(hello, new Uint8Array(20), last)).length;
      for (let cut = whole - 40; cut < whole; cut++) {
        const front = new Front();
        const cookie = cookieIn(front.send(...datagrams(hello, 0, size))[0]);
        const second = datagrams(withCookie(hello, cookie, last), 1, cut);
        assert.ok(serverHello(front.send(...second)[0])?.isRetry === false, `cut at ${cut}`);
      }
    });
  }

  it('is good for one address and one ClientHello, and for two minutes', () => {
    const hello = browserHello('chromium-156');
    const front = new Front();
    const cookie = cookieIn(front.send(...datagrams(hello, 0, 1175))[0]);
    const second = datagrams(withCookie(hello, cookie, 0), 1, 1175);
    front.from({ ...REMOTE, port: 9 }, ...second);
    const other = { ...hello, random: new Uint8Array(32).fill(9) };
    front.send(...datagrams(withCookie(other, cookie, 0), 1, 1175));
    const changed = cookie.slice();
    changed[3] = (changed[3] ?? 0) ^ 1;
    front.send(...datagrams(withCookie(hello, changed, 0), 1, 1175));
    assert.equal(front.endpoint.counts.sessions, 0);
    front.now = later(front.now, 121_000);
    front.send(...second);
    assert.equal(front.endpoint.counts.sessions, 0);
  });

  it('makes strangers’ fragments cost no more than 64 of them', () => {
    const hello = browserHello('chromium-156');
    const gate = new CookieGate({ crypto: testCrypto(1) }, instant(0));
    const [first = NO_BYTES] = datagrams(withCookie(hello, new Uint8Array(20), 99), 1, 1175);
    for (let port = 0; port < 10_000; port++) {
      const verdict = gate.inspect(instant(0), { address: '203.0.113.9', port }, first);
      assert.ok(verdict.kind === 'incomplete');
      verdict.hold();
    }
    assert.equal(gate.heldFragments, 64);
  });

  it('lets a browser in while they come: its second datagram is there before it was pushed out', () => {
    const hello = browserHello('chromium-156');
    const front = new Front();
    const cookie = cookieIn(front.send(...datagrams(hello, 0, 1175))[0]);
    const [first = NO_BYTES, second = NO_BYTES] = datagrams(withCookie(hello, cookie, 99), 1, 1175);
    const [forged = NO_BYTES] = datagrams(withCookie(hello, new Uint8Array(20), 99), 1, 1175);
    front.send(first);
    for (let i = 0; i < 60; i++) front.from({ address: `198.51.${i}.1`, port: 1 }, forged);
    assert.ok(serverHello(front.send(second)[0])?.isRetry === false);
  });

  it('is a HelloVerifyRequest for who offers 1.2 only, or where we speak no more', () => {
    const hello = browserHello('firefox-esr-153');
    const typeOf = (endpoint: Endpoint, offered: ClientHello): number | undefined => {
      endpoint.handleDatagram(instant(0), REMOTE, datagrams(offered, 0, 1383)[0] ?? NO_BYTES);
      const out = endpoint.poll();
      return out?.type === 'transmit' ? out.data[13] : undefined;
    };
    const old = new Endpoint(
      instant(0),
      endpointOptions({ limits: LIMITS, security: { maxVersion: '1.2' } }),
    );
    assert.equal(typeOf(old, hello), HANDSHAKE_TYPE.helloVerifyRequest);
    const cipherSuites = hello.cipherSuites.filter((id) => id >> 8 !== 0x13);
    assert.equal(
      typeOf(new Front().endpoint, { ...hello, cipherSuites }),
      HANDSHAKE_TYPE.helloVerifyRequest,
    );
  });

  it('stays within three times, whatever of the exchange is damaged', () => {
    for (let seed = 0; seed < 20; seed++) {
      const hello = browserHello('chromium-156');
      const front = new Front();
      const cookie = cookieIn(front.send(...datagrams(hello, 0, 1175))[0]);
      const all = [
        ...datagrams(hello, 0, 1175),
        ...datagrams(withCookie(hello, cookie.slice(1), 0), 1, 1175),
        ...datagrams(hello, 0, 70),
      ];
      for (const datagram of all) {
        for (const mutated of mutations(datagram, 10, seed)) {
          front.send(mutated);
          assert.ok(front.sent <= UNPROVEN_AMPLIFICATION_LIMIT * front.received);
        }
      }
    }
  });
});
