import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { withUdpServer } from '@lumamesh/testkit';
import { encodeXorMappedAddress } from '../stun/attributes/xor-mapped-address.ts';
import { ATTRIBUTE, METHOD_BINDING, StunBuilder } from '../stun/message.ts';
import { queryStun } from './stun-query.ts';

function success(transactionId: Uint8Array, address = '203.0.113.5'): Uint8Array {
  const mapped = encodeXorMappedAddress({ address, port: 4242 }, transactionId);
  return new StunBuilder('success', METHOD_BINDING, transactionId)
    .attribute(ATTRIBUTE.xorMappedAddress, mapped ?? new Uint8Array(0))
    .finish();
}

const idOf = (request: Buffer): Uint8Array => request.subarray(8, 20);

describe('a question to a STUN server', () => {
  it('is asked again until it is answered', () =>
    withUdpServer(
      (request, count) => (count < 3 ? [] : [success(idOf(request))]),
      async (port) => {
        const answer = await queryStun({ address: '127.0.0.1', port }, 20_000);
        assert.deepEqual(answer?.mappedAddress, { address: '203.0.113.5', port: 4242 });
        assert.ok(answer.rttMs >= 0);
      },
    ));

  it('takes no answer to another question, and no nonsense', () =>
    withUdpServer(
      (request) => {
        const id = idOf(request);
        return [
          new Uint8Array(0),
          Uint8Array.of(1, 1, 0, 0),
          success(
            id.map((byte) => byte ^ 1),
            '192.0.2.66',
          ),
          new StunBuilder('success', METHOD_BINDING, id).finish(),
          new StunBuilder('error', METHOD_BINDING, id)
            .attribute(ATTRIBUTE.xorMappedAddress, new Uint8Array(8))
            .finish(),
          new StunBuilder('success', METHOD_BINDING, id)
            .attribute(ATTRIBUTE.xorMappedAddress, Uint8Array.of(0, 7, 1, 1))
            .finish(),
        ];
      },
      async (port) => assert.equal(await queryStun({ address: '127.0.0.1', port }, 600), null),
    ));

  it('answers null where nobody is', async () => {
    assert.equal(await queryStun({ address: '127.0.0.1', port: 9 }, 300), null);
  });
});
