import { instant, parseJson, utf8Decode, utf8Encode } from '@lumamesh/base';
import { STRUCTURED_VALUES } from '../../packages/client/src/features/structured-codec.ts';
import { SignalBudget } from '../../packages/client/src/peer/signal-budget.ts';
import { Delivery, type DeliveryHost } from '../../packages/client/src/peer/delivery.ts';
import type { Frame, FrameSink } from '../../packages/client/src/peer/peer-frame.ts';
import { fieldsOf, parsePeerSignal } from '../../packages/client/src/peer/signal.ts';
import { readAnnouncement } from '../../packages/client/src/features/media/announcement.ts';
import { type Bytes, decodeFrame, encodeFrame } from '../../packages/adapters/yjs/src/frames.ts';
import { Script, type Target } from '../target.ts';

/* What members of a room say to pages: in sealed payloads, on lanes, in documents. */
const MAX_STEPS = 60;
const SESSION = 'session';

/** What one side of a connection sent, and what it was delivered. */
function side(isAdmitted: () => boolean): {
  readonly delivery: Delivery;
  readonly sink: FrameSink;
  readonly sent: (readonly [Frame, number])[];
  readonly deliveredBytes: () => number;
} {
  const sent: (readonly [Frame, number])[] = [];
  let delivered = 0;
  const host: DeliveryHost = {
    platform: { crypto, now: () => instant(0), setTimer: () => () => undefined },
    onListenerError: (error) => {
      throw error;
    },
    _codec: STRUCTURED_VALUES,
    _isAdmitted: isAdmitted,
    _isGuarded: () => !isAdmitted(),
    _deliver: (_tag, value) => {
      if (value instanceof Uint8Array) delivered += value.length;
      if (typeof value === 'string') delivered += value.length;
    },
    _handleProgress: () => undefined,
    _handleReset: () => undefined,
  };
  const sink: FrameSink = {
    isOpen: true,
    queuedBytes: () => 0,
    send: (frame, lane) => void sent.push([frame, lane]),
  };
  return { delivery: new Delivery(host), sink, sent, deliveredBytes: () => delivered };
}

/** A script with these frames on these lanes. */
const frames = (...all: readonly (readonly [lane: number, text: string])[]): Uint8Array =>
  Uint8Array.from(all.flatMap(([lane, text]) => [0, lane, text.length, ...utf8Encode(text)]));

/** Frames of a peer that has gone mad, beside what an honest page sends it. */
const lanes: Target = {
  name: 'peer-lanes',
  maxBytes: 1500,
  seeds: () => [
    frames([1, `r${SESSION}`], [1, 'n0'], [1, 'jaction x\n{"a":[1]}'], [0, 'a1 1 x']),
    frames([2, `r${SESSION}`], [2, 'n0'], [2, 'fb\n9'], [2, 'x'], [2, 'fj\n4'], [4, 'j\n1']),
    frames([0, `r${SESSION}`], [0, 'n0'], [0, 'jsignal\n{}'], [0, 'rother'], [0, 'n5']),
    Uint8Array.of(3, 0, 3, 1, 3, 2, 4, 3, 5, 3, 6, 2, 1, 5, 9, 9),
  ],
  run: (input) => {
    const script = new Script(input);
    let isAdmitted = true;
    const [here, there] = [side(() => isAdmitted), side(() => true)];
    const elsewhere: FrameSink = { ...here.sink };
    here.delivery._setSink(here.sink);
    there.delivery._setSink(there.sink);
    void there.delivery._send('action x', 'y'.repeat(400), {}, false);
    void there.delivery._send('', new Map([[1n, new Date(0)]]), {}, false);
    let given = 0;
    const give = (path: FrameSink, lane: number, data: string | ArrayBuffer): void => {
      given += typeof data === 'string' ? data.length : data.byteLength;
      here.delivery._handleFrame(path, lane, data);
    };
    for (let step = 0; step < MAX_STEPS && !script.isOver; step++) {
      const what = script.pick(7);
      const lane = script.pick(6);
      if (what === 0) give(here.sink, lane, utf8Decode(script.bytes()) ?? '');
      else if (what === 1) give(here.sink, lane, script.bytes().buffer);
      else if (what === 2) give(elsewhere, lane, utf8Decode(script.bytes()) ?? '');
      else if (what === 3) {
        // What the honest side says, in whatever order, and what it is answered.
        const [frame = '', its = 0] = there.sent[script.pick(Math.max(1, there.sent.length))] ?? [];
        give(here.sink, its, typeof frame === 'string' ? frame : frame.slice().buffer);
      } else if (what === 4) {
        const [frame = '', its = 0] = here.sent[script.pick(Math.max(1, here.sent.length))] ?? [];
        if (typeof frame === 'string') there.delivery._handleFrame(there.sink, its, frame);
      } else if (what === 5) {
        isAdmitted = script.pick(2) === 0;
        here.delivery._pump();
      } else here.delivery._setSink(script.pick(2) === 0 ? elsewhere : here.sink);
      if (here.sent.length > 200 + 20 * MAX_STEPS) throw new Error('answers without end');
    }
    if (here.deliveredBytes() > 4 * given + 1024)
      throw new Error('more was delivered than was sent');
    here.delivery._close();
    there.delivery._close();
  },
};

/** What is in sealed texts, once they are open: presence, signals; and what media say of themselves. */
const payloads: Target = {
  name: 'peer-signals',
  maxBytes: 2000,
  seeds: () =>
    [
      {
        stay: 1,
        attempt: 'a',
        to: 'b',
        description: {
          type: 'offer',
          sdp: 'v=0\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n',
        },
        candidates: [{ candidate: 'candidate:1', sdpMid: '0', sdpMLineIndex: 0 }],
        more: { relays: ['x'], relay: 'x' },
      },
      { stay: 1, attempt: '', bye: true },
      { stay: 1, nick: 'ada', role: 'observer', forwarding: { key: 'x', isWilling: true } },
      [
        {
          id: 'a',
          revision: 1,
          metadata: {},
          tracks: [{ id: 'b', kind: 'audio', mid: '0', isMuted: false, metadata: null }],
        },
      ],
    ].map((value) => utf8Encode(JSON.stringify(value))),
  run: (input) => {
    const value = parseJson(input);
    readAnnouncement(value);
    fieldsOf(fieldsOf(value)['more']);
    const signal = parsePeerSignal(value);
    if (signal === null) return;
    const budget = new SignalBudget();
    for (let i = 0; i < 45; i++) {
      const taken = budget._take(instant(0), signal);
      if (i > 40 && taken?.description !== undefined) throw new Error('descriptions without end');
      if ((taken?.description?.sdp.length ?? 0) > (signal.description?.sdp.length ?? 0))
        throw new Error('a description grows');
    }
  },
};

const ofYjs: Target = {
  name: 'yjs-frames',
  maxBytes: 300,
  seeds: () => [
    encodeFrame(0, 3, '12345678'),
    encodeFrame(1, Uint8Array.of(0)),
    encodeFrame(2, '12345678', 0, 0, 0, 1, Uint8Array.of(0), Uint8Array.of(0, 0)),
    encodeFrame(3, 4, 'abcd', Uint8Array.of(0, 0)),
    encodeFrame(4, 4, 'abcd', 1, Uint8Array.of(0)),
    encodeFrame(5),
  ],
  run: (input: Bytes) => {
    const frame = decodeFrame(input);
    if (frame === null) return;
    let bytes = 1;
    for (const part of Object.values(frame))
      if (typeof part === 'string' || part instanceof Uint8Array) bytes += part.length;
    if (bytes > input.length) throw new Error('a frame has more than came');
  },
};

export const PEERS: readonly Target[] = [lanes, payloads, ofYjs];
