import assert from 'node:assert/strict';
import type { Instant } from '@lumamesh/base';
import { type Host, type LinkOptions, VirtualNetwork, seededBytes } from '@lumamesh/testkit';
import { Association } from './association.ts';
import { CHUNK_TYPE, type Chunk, PacketBuilder, decodePacket } from './chunk/packet.ts';
import type { SctpEvent, SctpLimits } from './sctp-types.ts';

/* What the tests of associations share; imported by tests only. */
export const LIMITS: SctpLimits = {
  maxMessageBytes: 65_536,
  receiveWindowBytes: 131_072,
  maxBufferedBytes: 4_000_000,
  maxStreams: 64,
};

export class AssociationHost implements Host {
  readonly association: Association;
  readonly events: SctpEvent[] = [];
  readonly drops: string[] = [];

  constructor(now: Instant, seed: number, limits: Partial<SctpLimits> = {}) {
    this.association = new Association(now, {
      randomBytes: seededBytes(seed),
      limits: { ...LIMITS, ...limits },
      maxPacketBytes: 1160,
      holdsCrossingInit: seed % 4 === 0,
    });
  }

  handleDatagram(now: Instant, data: Uint8Array): void {
    const drop = this.association.handleDatagram(now, data);
    if (drop !== null) this.drops.push(drop);
  }

  handleTimeout(now: Instant): void {
    this.association.handleTimeout(now);
  }

  drain(_now: Instant, send: (data: Uint8Array) => void): Instant | null {
    const { association } = this;
    for (let output = association.poll(); output !== null; output = association.poll()) {
      if (output.type === 'transmit') send(output.data);
      else this.events.push(output);
    }
    return association.deadline;
  }

  messages(streamId?: number): string[] {
    return this.events.flatMap((event) =>
      event.type === 'message' && (streamId ?? event.streamId) === event.streamId
        ? [new TextDecoder().decode(event.data)]
        : [],
    );
  }

  has(type: SctpEvent['type']): boolean {
    return this.events.some((event) => event.type === type);
  }
}

export interface Pair {
  readonly net: VirtualNetwork;
  readonly a: AssociationHost;
  readonly b: AssociationHost;
  send(
    from: AssociationHost,
    text: string,
    options?: {
      streamId?: number;
      isUnordered?: boolean;
      maxRetransmits?: number;
      maxLifetimeMs?: number;
    },
  ): boolean;
}

export function pair(
  link: LinkOptions = { latencyMs: 10 },
  how: 'a' | 'both' = 'both',
  limits: Partial<SctpLimits> = {},
  seed = 1,
): Pair {
  const net = new VirtualNetwork();
  const a = new AssociationHost(net.now, seed * 2, limits);
  const b = new AssociationHost(net.now, seed * 2 + 1, limits);
  a.association.connect(net.now);
  if (how === 'both') b.association.connect(net.now);
  net.link(a, b, link);
  return {
    net,
    a,
    b,
    send(from, text, options = {}) {
      const { streamId = 1, isUnordered = false, ...reliability } = options;
      const sent = from.association.send(
        net.now,
        streamId,
        51,
        new TextEncoder().encode(text),
        isUnordered,
        reliability,
      );
      net.touch(from);
      return sent;
    },
  };
}

export function up(
  link?: LinkOptions,
  how?: 'a' | 'both',
  limits?: Partial<SctpLimits>,
  seed?: number,
): Pair {
  const made = pair(link, how, limits, seed);
  assert.ok(made.net.runUntil(() => made.a.has('connected') && made.b.has('connected'), 30_000));
  return made;
}

/** A packet as the peer of `host` would send it. */
export function inject(
  made: Pair,
  to: AssociationHost,
  chunks: readonly Chunk[],
  verificationTag?: number,
): void {
  const from = to === made.a ? made.b : made.a;
  const own = made.net.sent.filter((datagram) => datagram.from === from).at(-1);
  const template = decodePacket(own?.data ?? new Uint8Array(0));
  assert.ok(template.ok);
  const builder = new PacketBuilder(60_000);
  for (const chunk of chunks) builder.add(chunk);
  to.handleDatagram(
    made.net.now,
    builder.finish(5000, 5000, verificationTag ?? template.value.verificationTag),
  );
  made.net.touch(to);
}

export const chunksOf = (data: Uint8Array): readonly Chunk[] => {
  const packet = decodePacket(data);
  return packet.ok ? packet.value.chunks : [];
};

/** The initial TSN of a side, from its INIT or INIT ACK. */
export function firstTsnOf(made: Pair, host: AssociationHost): number {
  for (const { from, data } of made.net.sent) {
    const [chunk] = chunksOf(data);
    if (
      from === host &&
      chunk !== undefined &&
      (chunk.type === CHUNK_TYPE.init || chunk.type === CHUNK_TYPE.initAck)
    )
      return new DataView(chunk.value.buffer, chunk.value.byteOffset).getUint32(12);
  }
  throw new Error('no INIT was sent');
}
