import { type SyncCrypto, readUint16, utf8Encode, writeUint16, writeUint32 } from '@lumamesh/base';
import { decodeErrorCode } from '@lumamesh/transport/internal/stun/attributes/error-code';
import { addMessageIntegrity } from '@lumamesh/transport/internal/stun/attributes/message-integrity';
import {
  type TransportAddress,
  decodeXorMappedAddress,
  encodeXorMappedAddress,
} from '@lumamesh/transport/internal/stun/attributes/xor-mapped-address';
import {
  ATTRIBUTE,
  StunBuilder,
  type StunMessage,
  decodeStun,
  findAttribute,
} from '@lumamesh/transport/internal/stun/message';
import { TURN_ATTRIBUTE, TURN_METHOD } from '@lumamesh/transport/internal/turn/turn-codes';

export { TURN_ATTRIBUTE, TURN_METHOD };

export type TurnAttributes = readonly (readonly [type: number, value: Uint8Array])[];

/** REQUESTED-TRANSPORT: UDP. */
export const REQUESTED_UDP: TurnAttributes[number] = [
  TURN_ATTRIBUTE.requestedTransport,
  Uint8Array.of(17, 0, 0, 0),
];

/** What a TURN server says: the parts that tests look at. */
export interface TurnReply {
  readonly message: StunMessage;
  /** `null` for what is no error. */
  readonly code: number | null;
  readonly relayed: TransportAddress | null;
  readonly mapped: TransportAddress | null;
  readonly lifetime: number | null;
}

/** One client of a TURN server: it makes datagrams, and reads replies. It sends nothing itself. */
export class TurnClient {
  readonly #crypto: SyncCrypto;
  readonly #username: string;
  readonly #password: string;
  #realm: Uint8Array | null = null;
  #nonce: Uint8Array | null = null;

  constructor(crypto: SyncCrypto, { username, password }: { username: string; password: string }) {
    this.#crypto = crypto;
    this.#username = username;
    this.#password = password;
  }

  /** A request, signed once a 401 has told realm and nonce. */
  request(
    method: number,
    attributes: TurnAttributes,
    transactionId: Uint8Array = this.#crypto.randomBytes(12),
  ): Uint8Array {
    const builder = new StunBuilder('request', method, transactionId);
    for (const [type, value] of attributes) builder.attribute(type, value);
    if (this.#realm !== null && this.#nonce !== null) {
      builder
        .attribute(ATTRIBUTE.username, utf8Encode(this.#username))
        .attribute(TURN_ATTRIBUTE.realm, this.#realm)
        .attribute(TURN_ATTRIBUTE.nonce, this.#nonce);
      const realm = new TextDecoder().decode(this.#realm);
      const key = utf8Encode(`${this.#username}:${realm}:${this.#password}`);
      addMessageIntegrity(builder, this.#crypto, this.#crypto.hash('md5', key));
    }
    return builder.finish();
  }

  allocate(transactionId?: Uint8Array): Uint8Array {
    return this.request(TURN_METHOD.allocate, [REQUESTED_UDP], transactionId);
  }

  refresh(seconds: number): Uint8Array {
    const value = new Uint8Array(4);
    writeUint32(value, 0, seconds);
    return this.request(TURN_METHOD.refresh, [[TURN_ATTRIBUTE.lifetime, value]]);
  }

  permit(...peers: readonly TransportAddress[]): Uint8Array {
    const transactionId = this.#crypto.randomBytes(12);
    const attributes = peers.map((peer) => peerAttribute(peer, transactionId));
    return this.request(TURN_METHOD.createPermission, attributes, transactionId);
  }

  bind(channel: number, peer: TransportAddress): Uint8Array {
    const number = new Uint8Array(4);
    writeUint16(number, 0, channel);
    const transactionId = this.#crypto.randomBytes(12);
    return this.request(
      TURN_METHOD.channelBind,
      [[TURN_ATTRIBUTE.channelNumber, number], peerAttribute(peer, transactionId)],
      transactionId,
    );
  }

  send(peer: TransportAddress, data: Uint8Array): Uint8Array {
    const transactionId = this.#crypto.randomBytes(12);
    const [type, value] = peerAttribute(peer, transactionId);
    return new StunBuilder('indication', TURN_METHOD.send, transactionId)
      .attribute(type, value)
      .attribute(TURN_ATTRIBUTE.data, data)
      .finish();
  }

  /** Reads a reply; a 401 or 438 gives realm and nonce for what follows. `null`: it is no STUN. */
  read(datagram: Uint8Array): TurnReply | null {
    const decoded = decodeStun(datagram.slice());
    if (!decoded.ok) return null;
    const message = decoded.value;
    const value = (type: number): Uint8Array | null => findAttribute(message, type)?.value ?? null;
    const address = (type: number): TransportAddress | null => {
      const bytes = value(type);
      return bytes === null ? null : decodeXorMappedAddress(bytes, message.transactionId);
    };
    const error = value(ATTRIBUTE.errorCode);
    const lifetime = value(TURN_ATTRIBUTE.lifetime);
    this.#realm = value(TURN_ATTRIBUTE.realm) ?? this.#realm;
    this.#nonce = value(TURN_ATTRIBUTE.nonce) ?? this.#nonce;
    return {
      message,
      code: error === null ? null : (decodeErrorCode(error)?.code ?? 0),
      relayed: address(TURN_ATTRIBUTE.xorRelayedAddress),
      mapped: address(ATTRIBUTE.xorMappedAddress),
      lifetime: lifetime === null ? null : readUint16(lifetime, 2),
    };
  }
}

/** ChannelData (RFC 8656 §12.4). */
export function channelData(channel: number, data: Uint8Array): Uint8Array {
  const datagram = new Uint8Array(4 + data.length);
  writeUint16(datagram, 0, channel);
  writeUint16(datagram, 2, data.length);
  datagram.set(data, 4);
  return datagram;
}

function peerAttribute(
  peer: TransportAddress,
  transactionId: Uint8Array,
): readonly [number, Uint8Array] {
  const value = encodeXorMappedAddress(peer, transactionId);
  return [TURN_ATTRIBUTE.xorPeerAddress, value ?? new Uint8Array(0)];
}
