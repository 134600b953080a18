import { createConnection } from 'node:net';
import { bytesEqual } from '@lumamesh/base';
import type { Remote } from '../five-tuple.ts';
import { decodeXorMappedAddress } from '../stun/attributes/xor-mapped-address.ts';
import {
  ATTRIBUTE,
  METHOD_BINDING,
  StunBuilder,
  decodeStun,
  findAttribute,
} from '../stun/message.ts';
import { StreamDeframer, frameForStream } from '../tcp/stream-framing.ts';
import { monotonicNow } from './clock.ts';
import { PADDING, type StunAnswer, newTransactionId } from './stun-query.ts';

/**
 * Asks a relay's TCP port where it sees us, by a plain Binding request framed as ICE-TCP does (RFC
 * 6544 §10.1). `null` when nothing answers within `timeoutMs`; rejects when there is no connection.
 */
export async function queryStunOverTcp(
  server: Remote,
  timeoutMs: number,
): Promise<StunAnswer | null> {
  const transactionId = newTransactionId();
  const request = new StunBuilder('request', METHOD_BINDING, transactionId)
    .attribute(ATTRIBUTE.software, PADDING)
    .finish();
  const { promise, resolve, reject } = Promise.withResolvers<StunAnswer | null>();
  const deframer = new StreamDeframer();
  const startedAt = monotonicNow();
  const socket = createConnection({ host: server.address, port: server.port, noDelay: true });
  const timer = setTimeout(() => resolve(null), timeoutMs);
  socket.on('connect', () => socket.write(frameForStream('ice', request)));
  socket.on('error', reject);
  socket.on('close', () => resolve(null));
  socket.on('data', (chunk: Buffer) => {
    const drop = deframer.push(chunk, (datagram) => {
      const message = decodeStun(datagram);
      if (!message.ok || !bytesEqual(message.value.transactionId, transactionId)) return;
      const value = findAttribute(message.value, ATTRIBUTE.xorMappedAddress)?.value;
      const mappedAddress =
        value === undefined ? null : decodeXorMappedAddress(value, transactionId);
      if (mappedAddress !== null) resolve({ mappedAddress, rttMs: monotonicNow() - startedAt });
    });
    if (drop !== null) resolve(null);
  });
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}
