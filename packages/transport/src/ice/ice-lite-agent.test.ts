import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fromHex, utf8Encode } from '@lumamesh/base';
import { browserFlights } from '@lumamesh/testkit';
import { nodeCrypto } from '../io/node-crypto.ts';
import { decodeErrorCode } from '../stun/attributes/error-code.ts';
import { addFingerprint, checkFingerprint } from '../stun/attributes/fingerprint-attribute.ts';
import {
  addMessageIntegrity,
  checkMessageIntegrity,
} from '../stun/attributes/message-integrity.ts';
import { decodeUnknownAttributes } from '../stun/attributes/unknown-attributes.ts';
import { decodeXorMappedAddress } from '../stun/attributes/xor-mapped-address.ts';
import { ATTRIBUTE, StunBuilder, decodeStun, findAttribute } from '../stun/message.ts';
import { IceLiteAgent } from './ice-lite-agent.ts';

const REMOTE = { address: '203.0.113.9', port: 50_123 };
const PASSWORD = 'lumalumalumalumalumaluma';
const KEY = utf8Encode(PASSWORD);
const agent = (): IceLiteAgent =>
  new IceLiteAgent(nodeCrypto, { ufrag: 'luma', password: PASSWORD });

function check(
  options: {
    username?: string;
    key?: Uint8Array;
    extra?: readonly [number, Uint8Array][];
    fingerprint?: boolean;
    integrity?: boolean;
  } = {},
): Uint8Array {
  const builder = new StunBuilder('request', 1, new Uint8Array(12).fill(5)).attribute(
    ATTRIBUTE.username,
    utf8Encode(options.username ?? 'luma:abcd'),
  );
  for (const [type, value] of options.extra ?? []) builder.attribute(type, value);
  if (options.integrity !== false) addMessageIntegrity(builder, nodeCrypto, options.key ?? KEY);
  if (options.fingerprint !== false) addFingerprint(builder);
  return builder.finish();
}

describe('an ice-lite agent', () => {
  it('answers the checks that browsers really send', () => {
    for (const [name, { stunBindingRequests }] of Object.entries(browserFlights())) {
      for (const hex of stunBindingRequests) {
        const datagram = fromHex(hex);
        assert.ok(datagram !== null);
        const verdict = agent().handleDatagram(REMOTE, datagram);
        assert.ok(verdict.kind === 'check', `${name}: ${JSON.stringify(verdict)}`);
        const response = decodeStun(verdict.response);
        assert.ok(response.ok && response.value.messageClass === 'success');
        assert.equal(
          checkMessageIntegrity(verdict.response, response.value, nodeCrypto, KEY),
          'valid',
        );
        assert.equal(checkFingerprint(verdict.response, response.value), 'valid');
        const mapped = findAttribute(response.value, ATTRIBUTE.xorMappedAddress);
        assert.deepEqual(
          decodeXorMappedAddress(mapped?.value ?? new Uint8Array(0), response.value.transactionId),
          REMOTE,
        );
        assert.ok(verdict.response.length <= datagram.length);
      }
    }
  });

  it('tells the remote ufrag and nomination', () => {
    const verdict = agent().handleDatagram(
      REMOTE,
      check({ username: 'luma:Ab+/', extra: [[ATTRIBUTE.useCandidate, new Uint8Array(0)]] }),
    );
    assert.ok(verdict.kind === 'check');
    assert.equal(verdict.remoteUfrag, 'Ab+/');
    assert.ok(verdict.nominated);
  });

  it('tells the ufrag before a restart, and takes nothing that only begins like its own', () => {
    const verdict = agent().handleDatagram(REMOTE, check({ username: 'luma/Ab+/:efgh' }));
    assert.ok(verdict.kind === 'check');
    assert.deepEqual([verdict.previousUfrag, verdict.remoteUfrag], ['Ab+/', 'efgh']);
    for (const username of [
      'lumaabcd:efgh',
      'luma/:efgh',
      'luma/abc:efgh',
      'luma/abcd:efgh:ijkl',
      'luma/abcd',
    ])
      assert.deepEqual(agent().handleDatagram(REMOTE, check({ username })), {
        kind: 'drop',
        drop: 'ice.username',
      });
  });

  it('keeps silent towards everything that does not authenticate', () => {
    const cases: [string, Uint8Array, string][] = [
      ['a wrong password', check({ key: utf8Encode('wrong') }), 'ice.integrity.mismatch'],
      ['no integrity', check({ integrity: false }), 'ice.integrity.missing'],
      ['no fingerprint', check({ fingerprint: false }), 'ice.fingerprintMissing'],
      ['another ufrag', check({ username: 'lumb:abcd' }), 'ice.username'],
      ['no colon', check({ username: 'luma' }), 'ice.username'],
      ['a remote ufrag too short', check({ username: 'luma:abc' }), 'ice.username'],
      ['a remote ufrag with a space', check({ username: 'luma:ab cd' }), 'ice.username'],
      [
        'an indication',
        new StunBuilder('indication', 1, new Uint8Array(12)).finish(),
        'stun.notRequest',
      ],
      ['another method', new StunBuilder('request', 3, new Uint8Array(12)).finish(), 'stun.method'],
    ];
    for (const [name, datagram, drop] of cases)
      assert.deepEqual(agent().handleDatagram(REMOTE, datagram), { kind: 'drop', drop }, name);
  });

  it('answers 420 to unknown required attributes, authenticated only', () => {
    const verdict = agent().handleDatagram(REMOTE, check({ extra: [[0x7f01, Uint8Array.of(1)]] }));
    assert.ok(verdict.kind === 'respond');
    const response = decodeStun(verdict.response);
    assert.ok(response.ok && response.value.messageClass === 'error');
    assert.equal(
      decodeErrorCode(
        findAttribute(response.value, ATTRIBUTE.errorCode)?.value ?? new Uint8Array(0),
      )?.code,
      420,
    );
    assert.deepEqual(
      decodeUnknownAttributes(
        findAttribute(response.value, ATTRIBUTE.unknownAttributes)?.value ?? new Uint8Array(0),
      ),
      [0x7f01],
    );
    assert.equal(checkMessageIntegrity(verdict.response, response.value, nodeCrypto, KEY), 'valid');
  });

  it('answers 487 to a peer that thinks it is controlled', () => {
    const verdict = agent().handleDatagram(
      REMOTE,
      check({ extra: [[ATTRIBUTE.iceControlled, new Uint8Array(8)]] }),
    );
    assert.ok(verdict.kind === 'respond');
    const response = decodeStun(verdict.response);
    assert.ok(response.ok);
    assert.equal(
      decodeErrorCode(
        findAttribute(response.value, ATTRIBUTE.errorCode)?.value ?? new Uint8Array(0),
      )?.code,
      487,
    );
  });

  it('ignores what stands behind the integrity', () => {
    const builder = new StunBuilder('request', 1, new Uint8Array(12)).attribute(
      ATTRIBUTE.username,
      utf8Encode('luma:abcd'),
    );
    addMessageIntegrity(builder, nodeCrypto, KEY)
      .attribute(ATTRIBUTE.useCandidate, new Uint8Array(0))
      .attribute(0x7f01, new Uint8Array(0));
    const verdict = agent().handleDatagram(REMOTE, addFingerprint(builder).finish());
    assert.ok(verdict.kind === 'check' && !verdict.nominated);
  });

  it('is a plain STUN server, within 2.2 times the request and without SOFTWARE', () => {
    const bare = new StunBuilder('request', 1, new Uint8Array(12).fill(7)).finish();
    const verdict = agent().handleDatagram(REMOTE, bare);
    assert.ok(verdict.kind === 'respond');
    assert.ok(verdict.response.length <= bare.length * 1.6);
    const response = decodeStun(verdict.response);
    assert.ok(response.ok);
    assert.deepEqual(
      response.value.attributes.map(({ type }) => type),
      [ATTRIBUTE.xorMappedAddress],
    );
    // Over IPv6 the response to 20 bytes has 44: as much as may be.
    const over6 = agent().handleDatagram({ address: '2001:db8::9', port: 1 }, bare);
    assert.ok(over6.kind === 'respond');
    assert.equal(over6.response.length, bare.length * 2.2);
    const padded = addFingerprint(
      new StunBuilder('request', 1, new Uint8Array(12)).attribute(0x8022, new Uint8Array(8)),
    ).finish();
    assert.equal(
      agent().handleDatagram({ address: '2001:db8::9', port: 1 }, padded).kind,
      'respond',
    );
  });
});
