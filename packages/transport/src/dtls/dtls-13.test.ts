import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type NamedGroup, instant } from '@lumamesh/base';
import {
  type SessionPair,
  clientCertificate,
  connectedPair,
  sessionPair,
  serverCertificate,
  testCrypto,
} from '@lumamesh/testkit';
import type { EndpointLimits } from '../session-admission.ts';
import type { SessionEvent } from '../session-types.ts';
import { Wire } from './dtls-wire.test-support.ts';
import type { NegotiatedSecurity } from './handshake.ts';
import type { SecurityOptions } from './security-options.ts';

type Secure = Extract<SessionEvent, { type: 'secure' }>;

/** What both sides say they have agreed on. */
function agreed(pair: SessionPair): readonly NegotiatedSecurity[] {
  const events = [
    ...pair.client.events.map(({ event }) => event),
    ...pair.server.events.map(({ event }) => event),
  ];
  return events
    .filter((event): event is Secure => event.type === 'secure')
    .map((e) => e.negotiated);
}

const COOKIES_ONLY: EndpointLimits = { maxSessions: 10, cookieThreshold: 0, maxHalfOpen: 10 };

describe('versions and groups', () => {
  const hybrid: SecurityOptions = {};
  const x25519: SecurityOptions = { groups: ['x25519'] };
  const p256: SecurityOptions = { groups: ['secp256r1'] };
  const noHybrid: SecurityOptions = { groups: ['x25519', 'secp256r1'] };
  const preferP256: SecurityOptions = { groups: ['secp256r1', 'x25519'] };
  const only12: SecurityOptions = { maxVersion: '1.2' };
  const cases: [string, SecurityOptions, SecurityOptions, string, NamedGroup][] = [
    ['all, all', hybrid, hybrid, '1.3', 'x25519mlkem768'],
    ['a server of X25519', x25519, hybrid, '1.3', 'x25519'],
    ['a client of X25519', hybrid, x25519, '1.3', 'x25519'],
    ['a client of P-256', hybrid, p256, '1.3', 'secp256r1'],
    ['a server that prefers P-256', preferP256, hybrid, '1.3', 'x25519'],
    ['a server of P-256, which has to ask for a share', p256, noHybrid, '1.3', 'secp256r1'],
    ['a server of 1.2', only12, hybrid, '1.2', 'x25519'],
    ['a client of 1.2', hybrid, only12, '1.2', 'x25519'],
  ];
  for (const limits of [undefined, COOKIES_ONLY]) {
    for (const [name, ofServer, ofClient, version, group] of cases) {
      it(`${name}${limits === undefined ? '' : ', by cookie'}: ${version} with ${group}`, () => {
        const pair = connectedPair({
          endpoint: { security: ofServer, ...(limits === undefined ? {} : { limits }) },
          client: { security: ofClient },
        });
        const cipherSuite =
          version === '1.3' ? 'TLS_AES_128_GCM_SHA256' : 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256';
        assert.deepEqual(agreed(pair), [
          { version, cipherSuite, group },
          { version, cipherSuite, group },
        ]);
        assert.equal(pair.server.endpoint.drops.get('session.amplificationLimit'), 0);
      });
    }
  }

  it('a runtime without ML-KEM has X25519 on either side', () => {
    const crypto = { ...testCrypto(5), namedGroups: ['x25519', 'secp256r1'] as const };
    for (const options of [{ endpoint: { crypto } }, { client: { crypto } }])
      assert.deepEqual(
        agreed(connectedPair(options)).map(({ group }) => group),
        ['x25519', 'x25519'],
      );
  });

  it('a client shows its certificate where it is asked for one, and does not get in without', () => {
    const endpoint = { requestClientCertificate: true };
    const asked = connectedPair({ endpoint, client: { certificate: clientCertificate } });
    const secure = asked.server.events.find(({ event }) => event.type === 'secure');
    assert.ok(secure?.event.type === 'secure');
    assert.deepEqual(secure.event.remoteCertificate, clientCertificate.der);
    const none = sessionPair({ endpoint });
    none.net.run(20_000);
    assert.ok(!none.server.has('secure') && !none.server.has('connected'));
    // Whoever holds the certificate of somebody else holds no key to it.
    const certificate = { ...clientCertificate, privateKey: serverCertificate.privateKey };
    const impostor = sessionPair({ endpoint, client: { certificate } });
    impostor.net.run(20_000);
    assert.ok(!impostor.server.has('secure'));
  });
});

describe('the flights of DTLS 1.3', () => {
  it('are two datagrams of the server, and one ACK for the client’s Finished', () => {
    const wire = new Wire().run(1000);
    assert.ok(wire.has('client', 'connected') && wire.has('server', 'connected'));
    const bytes = (from: string): number[] =>
      wire.sent.flatMap((one) => (one.from === from ? [one.data.length] : []));
    assert.equal(bytes('client').length, 3, 'ClientHello in two, Finished');
    const [first = 0, second = 0, ack = 0, ...others] = bytes('server');
    assert.ok(first + second <= 1900, `${first} + ${second}`);
    assert.ok(ack < 60 && others.length === 0, `${ack}`);
    assert.ok(wire.client.deadline === null && wire.server.deadline === null, 'all is quiet');
  });

  it('are sent again when a datagram is lost: only what the peer has not', () => {
    for (let lost = 0; lost < 7; lost++) {
      for (const side of ['client', 'server'] as const) {
        const wire = new Wire();
        let count = 0;
        wire.lose = (from) => from === side && count++ === lost;
        wire.run(5000);
        assert.ok(
          wire.has('client', 'connected') && wire.has('server', 'connected'),
          `datagram ${lost} of the ${side}`,
        );
        wire.lose = () => false;
        wire.client.send(Uint8Array.of(1));
        wire.server.send(Uint8Array.of(2));
        wire.run(100);
        assert.deepEqual([wire.data('server'), wire.data('client')], [[1], [2]]);
        assert.ok(wire.client.deadline === null, 'the Finished was acknowledged');
      }
    }
  });

  it('are not sent again for each ClientHello: Firefox repeats it from 50 ms on', () => {
    const wire = new Wire();
    const hellos: Uint8Array[] = [];
    wire.lose = (from, data) => {
      if (from === 'client') hellos.push(data);
      return true;
    };
    wire.run(1);
    wire.lose = (from) => from === 'server';
    const flights = (): number => wire.sent.filter(({ from }) => from === 'server').length;
    const repeat = (at: number): void => {
      wire.now = instant(at);
      for (const hello of hellos) wire.server.handleDatagram(instant(at), hello);
      for (let out = wire.server.poll(); out !== null; out = wire.server.poll())
        if (out.type === 'transmit') wire.sent.push({ from: 'server', data: out.data });
    };
    repeat(0);
    assert.equal(flights(), 2);
    for (const at of [50, 100, 150, 240]) repeat(at);
    assert.equal(flights(), 2, 'nothing more within the time that a round trip may take');
    repeat(260);
    assert.equal(flights(), 4);
    for (const at of [300, 400, 500]) repeat(at);
    assert.equal(flights(), 4);
  });

  it('leave application data of a client alone until its Finished is there', () => {
    const wire = new Wire();
    wire.lose = (from, data) => from === 'client' && (data[0] ?? 0) >= 32;
    wire.run(200);
    assert.ok(wire.has('client', 'connected') && !wire.has('server', 'connected'));
    wire.lose = (_, data) => data[0] === undefined || (data[0] & 3) === 2;
    wire.client.send(Uint8Array.of(9));
    wire.run(100);
    assert.deepEqual(wire.data('server'), []);
    wire.lose = () => false;
    wire.run(3000);
    assert.ok(wire.has('server', 'connected'));
    assert.deepEqual(wire.data('server'), [], 'it was not kept either');
  });

  it('end by an ACK, which is sent again when it is lost', () => {
    const wire = new Wire();
    let lost = 0;
    wire.lose = (from, data) => from === 'server' && data.length < 60 && lost++ < 3;
    wire.run(5000);
    assert.equal(lost, 4);
    assert.equal(wire.client.deadline, null);
  });
});

describe('KeyUpdate', () => {
  it('changes the keys of each side after so many records, and loses nothing', () => {
    const wire = new Wire(20).run(1000);
    const firstBytes = new Set<number>();
    for (let i = 0; i < 200; i++) {
      wire.client.send(Uint8Array.of(i));
      wire.server.send(Uint8Array.of(i));
      wire.run(30);
    }
    for (const { data } of wire.sent) firstBytes.add((data[0] ?? 0) & 0x23);
    const all = Array.from({ length: 200 }, (_, i) => i);
    assert.deepEqual(wire.data('server'), all);
    assert.deepEqual(wire.data('client'), all);
    for (const epoch of [0, 1, 2, 3])
      assert.ok(firstBytes.has(0x20 | epoch), `epoch bits ${epoch} were used`);
  });

  it('goes on over lost updates and lost ACKs', () => {
    for (let seed = 0; seed < 10; seed++) {
      const wire = new Wire(10).run(1000);
      let count = seed;
      wire.lose = () => (count = (count * 1_103_515_245 + 12_345) % 2 ** 31) % 4 === 0;
      for (let i = 0; i < 100; i++) {
        wire.client.send(Uint8Array.of(i));
        wire.server.send(Uint8Array.of(i));
        wire.run(20);
      }
      wire.lose = () => false;
      wire.run(5000);
      wire.client.send(Uint8Array.of(200));
      wire.server.send(Uint8Array.of(201));
      wire.run(100);
      assert.equal(wire.data('server').at(-1), 200, `seed ${seed}`);
      assert.equal(wire.data('client').at(-1), 201, `seed ${seed}`);
    }
  });
});
