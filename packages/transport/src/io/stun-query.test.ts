import assert from 'node:assert/strict';
import { type RemoteInfo, createSocket } from 'node:dgram';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { encodeXorMappedAddress } from '../stun/attributes/xor-mapped-address.ts';
import { ATTRIBUTE, METHOD_BINDING, StunBuilder } from '../stun/message.ts';
import { queryStun } from './stun-query.ts';

/** A server on loopback that answers each request as it is told to. */
async function withServer(answer: (request: Buffer, count: number) => readonly Uint8Array[], test: (port: number) => Promise<void>): Promise<void> {
  const socket = createSocket('udp4');
  let count = 0;
  socket.on('message', (request: Buffer, remote: RemoteInfo) => {
    count += 1;
    for (const datagram of answer(request, count)) socket.send(datagram, remote.port, remote.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  try {
    await test(socket.address().port);
  } finally {
    socket.close();
  }
}

function success(transactionId: Uint8Array, address = '203.0.113.5'): Uint8Array {
  const mapped = encodeXorMappedAddress({ address, port: 4242 }, transactionId);
  return new StunBuilder('success', METHOD_BINDING, transactionId).attribute(ATTRIBUTE.xorMappedAddress, mapped ?? new Uint8Array(0)).finish();
}

const idOf = (request: Buffer): Uint8Array => request.subarray(8, 20);

describe('a question to a STUN server', { timeout: 30_000 }, () => {
  it('is asked again until it is answered', () =>
    withServer(
      (request, count) => (count < 3 ? [] : [success(idOf(request))]),
      async (port) => {
        const answer = await queryStun({ address: '127.0.0.1', port }, 20_000);
        assert.deepEqual(answer?.mappedAddress, { address: '203.0.113.5', port: 4242 });
        assert.ok(answer.rttMs >= 0);
      },
    ));

  it('takes no answer to another question, and no nonsense', () =>
    withServer(
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
          new StunBuilder('error', METHOD_BINDING, id).attribute(ATTRIBUTE.xorMappedAddress, new Uint8Array(8)).finish(),
          new StunBuilder('success', METHOD_BINDING, id).attribute(ATTRIBUTE.xorMappedAddress, Uint8Array.of(0, 7, 1, 1)).finish(),
        ];
      },
      async (port) => assert.equal(await queryStun({ address: '127.0.0.1', port }, 600), null),
    ));

  it('answers null where nobody is', async () => {
    assert.equal(await queryStun({ address: '127.0.0.1', port: 9 }, 300), null);
  });
});
