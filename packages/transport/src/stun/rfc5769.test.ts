import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fromHex, toHex, utf8Encode } from '@lumamesh/base';
import { nodeCrypto } from '../io/node-crypto.ts';
import { addFingerprint, checkFingerprint } from './attributes/fingerprint-attribute.ts';
import { addMessageIntegrity, checkMessageIntegrity } from './attributes/message-integrity.ts';
import { decodeXorMappedAddress, encodeXorMappedAddress } from './attributes/xor-mapped-address.ts';
import {
  ATTRIBUTE,
  METHOD_BINDING,
  StunBuilder,
  type StunMessage,
  decodeStun,
  findAttribute,
} from './message.ts';

/* The vectors of RFC 5769 §2.1–2.3. */
const KEY = utf8Encode('VOkJxbRl1RmTxUk/WvJxBt');
const REQUEST =
  '000100582112a442b7e7a701bc34d686fa87dfae' + // binding request, length 88
  '802200105354554e207465737420636c69656e74' + // SOFTWARE "STUN test client"
  '002400046e0001ff' + // PRIORITY
  '80290008932ff9b151263b36' + // ICE-CONTROLLED
  '000600096576746a3a68367659202020' + // USERNAME "evtj:h6vY", padded with spaces
  '000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2' + // MESSAGE-INTEGRITY
  '80280004e57a3bcf'; // FINGERPRINT
const RESPONSE_IPV4 =
  '0101003c2112a442b7e7a701bc34d686fa87dfae' +
  '8022000b7465737420766563746f7220' + // SOFTWARE "test vector"
  '002000080001a147e112a643' + // XOR-MAPPED-ADDRESS
  '000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7' +
  '80280004c07d4c96';
const RESPONSE_IPV6 =
  '010100482112a442b7e7a701bc34d686fa87dfae' +
  '8022000b7465737420766563746f7220' +
  '002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9' +
  '00080014a382954e4be67bf11784c97c8292c275bfe3ed41' +
  '80280004c8fb0b4c';

function decode(hex: string): { readonly bytes: Uint8Array; readonly message: StunMessage } {
  const bytes = fromHex(hex);
  assert.ok(bytes !== null);
  const result = decodeStun(bytes);
  assert.ok(result.ok);
  return { bytes, message: result.value };
}

describe('RFC 5769', () => {
  it('§2.1 sample request', () => {
    const { bytes, message } = decode(REQUEST);
    assert.equal(message.messageClass, 'request');
    assert.equal(message.method, METHOD_BINDING);
    assert.equal(checkFingerprint(bytes, message), 'valid');
    assert.equal(checkMessageIntegrity(bytes, message, nodeCrypto, KEY), 'valid');
    assert.equal(toHex(bytes), REQUEST, 'checking leaves the datagram as it was');
    assert.deepEqual(findAttribute(message, ATTRIBUTE.username)?.value, utf8Encode('evtj:h6vY'));
  });

  for (const [name, hex, address] of [
    ['§2.2 sample IPv4 response', RESPONSE_IPV4, '192.0.2.1'],
    ['§2.3 sample IPv6 response', RESPONSE_IPV6, '2001:db8:1234:5678:11:2233:4455:6677'],
  ] as const) {
    it(name, () => {
      const { bytes, message } = decode(hex);
      assert.equal(message.messageClass, 'success');
      assert.equal(checkFingerprint(bytes, message), 'valid');
      assert.equal(checkMessageIntegrity(bytes, message, nodeCrypto, KEY), 'valid');
      const mapped = findAttribute(message, ATTRIBUTE.xorMappedAddress);
      assert.ok(mapped !== null);
      assert.deepEqual(decodeXorMappedAddress(mapped.value, message.transactionId), {
        address,
        port: 32_853,
      });
      assert.deepEqual(
        encodeXorMappedAddress({ address, port: 32_853 }, message.transactionId),
        mapped.value.slice(),
      );

      // And built again, from front to back.
      const software = message.attributes[0];
      assert.ok(software !== undefined);
      const builder = new StunBuilder('success', METHOD_BINDING, message.transactionId)
        .attribute(software.type, software.value)
        .attribute(ATTRIBUTE.xorMappedAddress, mapped.value);
      const rebuilt = toHex(addFingerprint(addMessageIntegrity(builder, nodeCrypto, KEY)).finish());
      // The RFC pads SOFTWARE with a space, we with zero: so the tags behind differ, and everything
      // before is the same.
      assert.equal(rebuilt.slice(0, 40 + 8 + 22), hex.slice(0, 40 + 8 + 22));
      assert.equal(rebuilt.length, hex.length);
    });
  }

  it('a changed byte breaks the integrity, the wrong key as well', () => {
    const { bytes, message } = decode(REQUEST);
    assert.equal(
      checkMessageIntegrity(bytes, message, nodeCrypto, utf8Encode('VOkJxbRl1RmTxUk/WvJxBT')),
      'mismatch',
    );
    bytes[30] = (bytes[30] ?? 0) ^ 1;
    assert.equal(checkMessageIntegrity(bytes, message, nodeCrypto, KEY), 'mismatch');
    assert.equal(checkFingerprint(bytes, message), 'mismatch');
  });
});
