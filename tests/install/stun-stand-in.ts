import { createSocket } from 'node:dgram';
import { once } from 'node:events';

const BINDING_SUCCESS = 0x0101;
const MAGIC_COOKIE = 0x2112a442;
const XOR_MAPPED_ADDRESS = 0x0020;
const HEADER_BYTES = 20;

/** A STUN server on loopback that sees every client at the address it is told; with `isForged` its answers carry another transaction id. */
export async function startStunStandIn(
  address: string,
  isForged = false,
): Promise<{ readonly at: string; close(): void }> {
  const socket = createSocket('udp4', (request, { port, address: remote }) => {
    if (request.length < HEADER_BYTES || request.readUInt32BE(4) !== MAGIC_COOKIE) return;
    // An attribute that clients must pass over (SOFTWARE, 3 bytes and 1 of padding), then XOR-MAPPED-ADDRESS.
    const answer = Buffer.alloc(HEADER_BYTES + 8 + 12);
    answer.writeUInt16BE(BINDING_SUCCESS, 0);
    answer.writeUInt16BE(answer.length - HEADER_BYTES, 2);
    request.copy(answer, 4, 4, HEADER_BYTES);
    if (isForged) answer.writeUInt8(answer.readUInt8(19) ^ 1, 19);
    answer.writeUInt32BE(0x80220003, 20);
    answer.write('abc', 24);
    answer.writeUInt32BE((XOR_MAPPED_ADDRESS << 16) | 8, 28);
    answer.writeUInt16BE(1, 32);
    answer.writeUInt16BE(port ^ (MAGIC_COOKIE >>> 16), 34);
    const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number);
    answer.writeUInt32BE((Buffer.from([a, b, c, d]).readUInt32BE(0) ^ MAGIC_COOKIE) >>> 0, 36);
    socket.send(answer, port, remote);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return { at: `127.0.0.1:${socket.address().port}`, close: () => socket.close() };
}
