import { randomBytes } from 'node:crypto';
import { isIPv6 } from 'node:net';
import { bytesEqual } from '@lumamesh/base';
import {
  type TransportAddress,
  decodeXorMappedAddress,
} from '../stun/attributes/xor-mapped-address.ts';
import {
  ATTRIBUTE,
  METHOD_BINDING,
  StunBuilder,
  TRANSACTION_ID_BYTES,
  decodeStun,
  findAttribute,
} from '../stun/message.ts';
import type { Remote } from '../five-tuple.ts';
import { monotonicNow } from './clock.ts';
import { bindUdpSocket } from './udp-socket.ts';

export interface StunAnswer {
  /** Where the server sees us. */
  readonly mappedAddress: TransportAddress;
  readonly rttMs: number;
}

/** A random one: whoever does not see the request cannot answer it. */
export function newTransactionId(): Uint8Array {
  return randomBytes(TRANSACTION_ID_BYTES);
}

/** RFC 8489 §6.2.1: 500 ms, doubled; shorter here, for whoever asks is waiting. */
const RTO_INITIAL_MS = 250;
const RTO_MAX_MS = 1000;
/** Servers that never send more than they got have the bytes to respond over IPv6. */
export const PADDING = new Uint8Array(32).fill(0x20);

/**
 * Asks a STUN server where it sees us: a plain Binding request (RFC 8489 §3), repeated until a
 * response comes. `null` when nothing comes within `timeoutMs`; throws the errors of
 * `bindUdpSocket`.
 */
export async function queryStun(
  server: Remote,
  timeoutMs: number,
  transactionId: Uint8Array = newTransactionId(),
): Promise<StunAnswer | null> {
  const request = new StunBuilder('request', METHOD_BINDING, transactionId)
    .attribute(ATTRIBUTE.software, PADDING)
    .finish();
  const { promise, resolve } = Promise.withResolvers<StunAnswer | null>();
  let sentAt = monotonicNow();
  const socket = await bindUdpSocket({
    port: 0,
    address: isIPv6(server.address) ? '::' : '0.0.0.0',
    onDatagram: (remote, data) => {
      const message = decodeStun(data);
      if (remote.port !== server.port || !message.ok || message.value.messageClass !== 'success')
        return;
      if (!bytesEqual(transactionId, message.value.transactionId)) return;
      const attribute = findAttribute(message.value, ATTRIBUTE.xorMappedAddress);
      const mappedAddress =
        attribute === null
          ? null
          : decodeXorMappedAddress(attribute.value, message.value.transactionId);
      if (mappedAddress !== null) resolve({ mappedAddress, rttMs: monotonicNow() - sentAt });
    },
    onSendError: () => undefined,
  });
  const timers: NodeJS.Timeout[] = [setTimeout(() => resolve(null), timeoutMs)];
  const send = (rtoMs: number): void => {
    sentAt = monotonicNow();
    socket.send(server, request);
    timers.push(setTimeout(() => send(Math.min(2 * rtoMs, RTO_MAX_MS)), rtoMs));
  };
  send(RTO_INITIAL_MS);
  const answer = await promise;
  for (const timer of timers) clearTimeout(timer);
  await socket.close();
  return answer;
}
