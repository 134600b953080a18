import { type Instant, bytesEqual, concatBytes, instant, later } from '@lumamesh/base';
import { TurnClient, channelData, endpointOptions, testCrypto } from '@lumamesh/testkit';
import { Endpoint, type Remote, type SessionId } from '@lumamesh/transport';
import { StreamDeframer, frameForStream } from '../../packages/transport/src/tcp/stream-framing.ts';
import { Script, type Target } from '../target.ts';

const MAX_STEPS = 60;
const LIMITS = {
  bytesPerSecond: 100_000,
  bytesPerSecondOfPair: 100_000,
  bytesPerSecondOfSession: 100_000,
  bytesPerSecondOfRoom: 100_000,
  bytesPerSecondOfHost: 100_000,
  maxAllocations: 8,
  allocationsPerSession: 2,
};

interface Party {
  readonly remote: Remote;
  readonly room: string;
  readonly client: TurnClient;
  relayed: { readonly address: string; readonly port: number };
  /** What came from it and went to it, while it has not shown who it is. */
  received: number;
  sent: number;
}

/** Three in two rooms, and a stranger; any of them says anything, in any order. */
const server: Target = {
  name: 'turn-server',
  maxBytes: 600,
  seeds: () => [
    Uint8Array.of(0, 3, 1, 1, 3, 0, 0, 2, 1, 5, 1, 2, 3, 4, 5),
    Uint8Array.of(0, 4, 1, 0, 1, 4, 0, 0, 0, 1, 0, 4, 9, 9, 9, 9, 1, 1, 0, 3, 7, 7, 7),
    Uint8Array.of(2, 3, 0, 0, 3, 2, 3, 0, 4, 64, 0, 0, 0, 0, 5, 0, 6, 200, 0, 6, 255, 0, 7),
  ],
  run: (input) => {
    const script = new Script(input);
    const crypto = testCrypto(7);
    let now: Instant = instant(1000);
    const endpoint = new Endpoint(now, endpointOptions({ crypto, turn: LIMITS }));
    const { turn } = endpoint;
    if (turn === null) throw new Error('TURN is off');
    const parties: Party[] = ['one', 'one', 'other', ''].map((room, i) => ({
      remote: { address: `203.0.113.${i + 1}`, port: 4000 + i },
      room,
      client: new TurnClient(
        crypto,
        room === ''
          ? { username: 'nobody', password: 'nothing' }
          : turn.grant((i + 1) as SessionId, room),
      ),
      relayed: { address: '198.18.0.1', port: 50_000 },
      received: 0,
      sent: 0,
    }));
    const say = (from: Party, datagram: Uint8Array): void => {
      const isReply = new Set<Uint8Array>();
      from.received += datagram.length;
      endpoint.handleDatagram(now, from.remote, datagram);
      for (let output = endpoint.poll(); output !== null; output = endpoint.poll()) {
        if (output.type !== 'transmit') continue;
        const { remote, data } = output;
        const to = parties.find((one) => one.remote.port === remote.port);
        if (to === undefined || to.remote.address !== remote.address)
          throw new Error('something was sent to nobody');
        if (to !== from && to.room !== from.room) throw new Error('data went into another room');
        to.sent += data.length;
        to.relayed = to.client.read(data)?.relayed ?? to.relayed;
        isReply.add(data);
      }
      if (isReply.size > 1) throw new Error('more than one datagram for one');
      const stranger = parties.at(-1);
      if (stranger !== undefined && stranger.sent > 3 * stranger.received)
        throw new Error('a stranger got more than three times what it sent');
    };
    for (const party of parties) {
      say(party, party.client.allocate());
      say(party, party.client.allocate());
    }
    for (let step = 0; step < MAX_STEPS && !script.isOver; step++) {
      const [from = parties[0]] = [parties[script.pick(parties.length)]];
      if (from === undefined) return;
      const { client } = from;
      const peer = (): Party['relayed'] => {
        const n = script.pick(6);
        return parties[n]?.relayed ?? { address: '127.0.0.1', port: 53 };
      };
      switch (script.pick(9)) {
        case 0:
          say(from, script.bytes());
          break;
        case 1:
          say(from, channelData(0x4000 + script.pick(4), script.bytes()));
          break;
        case 2:
          say(from, client.send(peer(), script.bytes()));
          break;
        case 3:
          say(from, client.permit(peer()));
          break;
        case 4:
          say(from, client.bind(0x3ffe + script.pick(6), peer()));
          break;
        case 5:
          say(from, client.refresh(script.byte() * 10));
          break;
        case 6:
          now = later(now, script.byte() * 1000);
          endpoint.handleTimeout(now);
          if (endpoint.deadline !== null && endpoint.deadline <= now)
            throw new Error('a timer that was handled is due again');
          break;
        case 7:
          say(from, client.allocate());
          break;
        default: {
          // A request with a flipped bit.
          const request = client.permit(peer());
          const at = script.uint16() % request.length;
          request[at] = (request[at] ?? 0) ^ (1 << script.pick(8));
          say(from, request);
        }
      }
      if (turn.counts.allocations > LIMITS.maxAllocations) throw new Error('too many allocations');
    }
  },
};

/** A stream, whatever pieces it comes in, gives the same frames, none of them too long. */
const stream: Target = {
  name: 'tcp-stream',
  maxBytes: 600,
  seeds: () => {
    const client = new TurnClient(testCrypto(8), { username: 'u', password: 'p' });
    const frames = [client.allocate(), channelData(0x4000, new Uint8Array(9))];
    return (['ice', 'turn'] as const).map((kind) =>
      concatBytes([Uint8Array.of(30), ...frames.map((frame) => frameForStream(kind, frame))]),
    );
  },
  run: (input) => {
    const bytes = input.subarray(1);
    const cut = Math.min(input[0] ?? 0, bytes.length);
    const read = (pieces: readonly Uint8Array[]): Uint8Array => {
      const deframer = new StreamDeframer();
      const frames: Uint8Array[] = [];
      let ended: string | null = null;
      for (const piece of pieces)
        ended ??= deframer.push(piece, (frame) => {
          if (frame.length > 4096) throw new Error('a frame of no size');
          frames.push(new Uint8Array(frame));
        });
      return concatBytes([...frames, new TextEncoder().encode(ended ?? '')]);
    };
    const whole = read([bytes]);
    if (!bytesEqual(whole, read([bytes.subarray(0, cut), bytes.subarray(cut)])))
      throw new Error('the pieces make a difference');
    if (!bytesEqual(whole, read([...bytes].map((byte) => Uint8Array.of(byte)))))
      throw new Error('single bytes make a difference');
  },
};

export const TURN: readonly Target[] = [server, stream];
