import type { Socket } from 'node:dgram';
import { type Instant, instant } from '@lumamesh/base';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import { relayClientOptions } from '@lumamesh/testkit';
import { DtlsConnection } from '../../packages/transport/src/dtls/dtls-connection.ts';
import { ControllingAgent } from '../../packages/transport/src/ice/controlling-agent.ts';
import { decodeInitChunk } from '../../packages/transport/src/sctp/chunk/init-chunk.ts';
import {
  CHUNK_TYPE,
  type Chunk,
  PacketBuilder,
  decodePacket,
} from '../../packages/transport/src/sctp/chunk/packet.ts';
import { association } from '../../packages/transport/src/session-layers.ts';
import { FROM } from './flood.ts';
import { socketAt } from './stub.ts';

const TICK_MS = 20;
const SCTP_PORT = 5000;
const MAX_PACKET_BYTES = 1160;
const OPEN_LIMIT_MS = 10_000;

/**
 * A client of a relay down to its SCTP packets: it opens an association as it should, and says then
 * whatever chunks it is given, as no stack would.
 */
export class RawStub {
  /** The first TSNs of this side and of the relay's. */
  readonly ownTsn: number;
  readonly theirTsn: number;
  readonly #dtls: DtlsConnection;
  readonly #tag: number;
  readonly #flush: () => void;

  private constructor(
    dtls: DtlsConnection,
    tag: number,
    tsns: readonly [number, number],
    flush: () => void,
  ) {
    this.#dtls = dtls;
    this.#tag = tag;
    [this.ownTsn, this.theirTsn] = tsns;
    this.#flush = flush;
  }

  /**
   * Resolves with a client whose association is open; `null` when that does not come about.
   * @param keyUpdateAfterRecords its keys are changed so often
   */
  static async open(
    record: SignedRelayRecord,
    keyUpdateAfterRecords = 2 ** 23,
  ): Promise<RawStub | null> {
    const socket: Socket = await socketAt(FROM);
    const options = relayClientOptions(record);
    const agent = new ControllingAgent(
      now(),
      options.crypto,
      options.localUfrag,
      options.remoteIce,
    );
    const sctp = association(now(), options, false);
    let dtls: DtlsConnection | null = null;
    let tag = 0;
    const tsns: [number, number] = [0, 0];
    const opened = Promise.withResolvers<boolean>();
    /** What of a packet has to be known to make others. */
    const look = (packet: Uint8Array, side: 0 | 1): void => {
      const read = decodePacket(packet);
      if (!read.ok) return;
      if (side === 0 && read.value.verificationTag !== 0) tag = read.value.verificationTag;
      for (const chunk of read.value.chunks) {
        if (chunk.type !== CHUNK_TYPE.init && chunk.type !== CHUNK_TYPE.initAck) continue;
        const init = decodeInitChunk(chunk);
        if (init.ok) tsns[side] = init.value.initialTsn;
      }
    };
    const send = (data: Uint8Array): void => socket.send(data.slice(), record.port, record.ip);
    const flush = (): void => {
      for (let output = agent.poll(); output !== null; output = agent.poll())
        if (output.type === 'transmit') send(output.data);
        else if (output.type === 'connected')
          dtls = DtlsConnection.client(now(), {
            ...options,
            maxDatagramBytes: 1200,
            keyUpdateAfterRecords,
          });
      for (let isOver = false; !isOver && dtls !== null;) {
        const output = dtls.poll();
        if (output === null) isOver = true;
        else if (output.type === 'transmit') send(output.data);
        else if (output.type === 'connected') sctp.connect(now());
        else if (output.type === 'data') {
          look(output.data, 1);
          sctp.handleDatagram(now(), output.data);
        }
        for (let packet = sctp.poll(); packet !== null; packet = sctp.poll())
          if (packet.type === 'connected') opened.resolve(true);
          else if (packet.type === 'transmit') {
            look(packet.data, 0);
            dtls.send(packet.data);
            isOver = false;
          }
      }
    };
    socket.on('message', (data) => {
      if ((data[0] ?? 0) < 4) agent.handleDatagram(now(), data);
      else dtls?.handleDatagram(now(), data);
      flush();
    });
    const timer = setInterval(() => {
      agent.handleTimeout(now());
      dtls?.handleTimeout(now());
      sctp.handleTimeout(now());
      flush();
    }, TICK_MS);
    flush();
    const limit = setTimeout(() => opened.resolve(false), OPEN_LIMIT_MS);
    const isOpen = await opened.promise;
    clearTimeout(limit);
    if (isOpen && dtls !== null) return new RawStub(dtls, tag, tsns, flush);
    clearInterval(timer);
    socket.close();
    return null;
  }

  /** Sends these chunks as one packet; returns its bytes, about. */
  say(...chunks: readonly Chunk[]): number {
    const packet = new PacketBuilder(MAX_PACKET_BYTES);
    for (const chunk of chunks) packet.add(chunk);
    const bytes = packet.finish(SCTP_PORT, SCTP_PORT, this.#tag);
    this.#dtls.send(bytes);
    this.#flush();
    return bytes.length;
  }
}

function now(): Instant {
  return instant(performance.now());
}
