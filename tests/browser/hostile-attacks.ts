import assert from 'node:assert/strict';
import { utf8Encode } from '@lumamesh/base';
import { until } from '@lumamesh/testkit';
import { type HostileMember, LANES, UNORDERED } from './hostile-member.ts';

/* What a hostile member does to a page (hostile.test.ts), as far as browsers have a part in it. */
const [CONTROL, REQUESTS, VALUES, BULK] = [0, 1, 2, 3];

/** Over a connection over which it has said who it is, as a page does, and is heard afterwards. */
export interface Attack {
  /** @param page the id of the page */
  readonly run: (mallory: HostileMember, page: string) => Promise<void> | void;
  /** What the page says of it, to show that it has come there. */
  readonly isNoted?: readonly [event: string, value?: unknown];
}

/** What comes of it is the end of a connection. */
export type Ending = (
  mallory: HostileMember,
  page: string,
  hasGivenUp: () => Promise<boolean>,
) => Promise<void>;

/** More connections than a page takes of a member who gives each up as soon as it is open. */
const MAX_CONNECTIONS = 20;

const bytesOf = (length: number): Uint8Array<ArrayBuffer> =>
  Uint8Array.from({ length }, (_, i) => (i * 7919) & 255);

async function isCut(mallory: HostileMember): Promise<void> {
  await until(() => mallory.hasEnded, 'it is still connected');
}

const NUMBERS = ['-1', 'NaN', '1e308', 'Infinity', '9'.repeat(20), '0.5', '', '0x10', '1 1'];
const LINE = 'a=candidate:1 1 udp 2130706431';
const PLACES = [
  '127.0.0.1',
  '0.0.0.0',
  '224.0.0.251',
  '255.255.255.255',
  '10.0.0.1',
  '169.254.169.254',
  '::1',
  'ff02::fb',
  'metadata.google.internal',
  'x'.repeat(300),
  'printer.local',
];
/** Names that mean something to objects, and texts that mean something to who shows them. */
const NAMES = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', '\u202egnp.exe', '\0', ''];
const POLLUTION =
  '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"nick":{"toString":1}}';

function sdpOf(lines: readonly string[]): string {
  return ['v=0', 'o=- 1 1 IN IP4 0.0.0.0', 's=-', 't=0 0', ...lines, ''].join('\r\n');
}
const MEDIA = ['m=application 9 UDP/DTLS/SCTP webrtc-datachannel', 'c=IN IP4 0.0.0.0', 'a=mid:0'];

export const ATTACKS: Readonly<Record<string, Attack>> = {
  'garbage, as text and as bytes, on all channels': {
    run: (mallory) => {
      for (let i = 0; i < 300; i++)
        for (const lane of [...LANES, UNORDERED]) {
          const letter = String.fromCharCode(32 + (i % 95));
          mallory.write(lane, bytesOf(i * 7));
          // What begins a large value or ends a connection is another attack.
          if (letter !== (lane === UNORDERED ? 'r' : 'f'))
            mallory.write(lane, letter.repeat(1 + (i % 50)));
        }
    },
  },
  'values that never end': {
    run: async (mallory) => {
      mallory.write(VALUES, 'fbaction say\n268435456');
      mallory.write(BULK, 'fj\n268435455');
      for (let i = 0; i < 100; i++)
        for (const lane of [VALUES, BULK]) {
          mallory.write(lane, bytesOf(16_000));
          await mallory.drains(lane);
        }
    },
  },
  'a value that is longer than it says': {
    run: (mallory) => {
      mallory.write(VALUES, 'fbaction say\n10');
      mallory.write(VALUES, bytesOf(16_000));
    },
  },
  'JSON of brackets': {
    run: (mallory) => {
      for (let i = 0; i < 50; i++) mallory.write(VALUES, `jaction say\n${'['.repeat(60_000)}`);
      mallory.write(VALUES, `jaction say\n${'['.repeat(20_000)}${']'.repeat(20_000)}`);
    },
  },
  'as deep a value as is taken': {
    run: (mallory) => mallory.write(VALUES, `jaction say\n${'['.repeat(2048)}${']'.repeat(2048)}`),
    isNoted: ['say', 'object'],
  },
  'a large value of millions of parts': {
    run: async (mallory) =>
      mallory.pour(BULK, 'jaction say', utf8Encode(`[${'{},'.repeat(1_500_000)}0]`)),
  },
  'files that are not what they say': {
    run: async (mallory) => {
      const sizes = [1e300, -1, 0.5, null, 'many', 2 ** 53, 10];
      for (const [i, size] of sizes.entries()) {
        const name = NAMES[i % NAMES.length];
        mallory.write(BULK, `jfile ${i}\n${JSON.stringify({ name, type: 'text/html', size })}`);
      }
      await mallory.hears(REQUESTS, (text) => text.startsWith('jfileGo 6\n'));
      for (const i of sizes.keys())
        mallory.write(BULK, new Uint8Array([...utf8Encode(`bpiece ${i}\n`), ...bytesOf(5000)]));
      for (let i = 0; i < 1200; i++)
        mallory.write(BULK, `jfile ${100 + i}\n{"name":"x","type":"","size":1}`);
      for (const frame of ['fileEnd', 'fileGo', 'fileStop', 'piece'])
        for (const number of NUMBERS) mallory.write(BULK, `j${frame} ${number}\n{}`);
    },
    isNoted: ['file failed', 'LumameshError: larger than it said'],
  },
  'names that mean something to objects': {
    run: (mallory) => {
      const tags = ['action', 'request 1', 'response', 'failure', 'media', 'forward', 'file', ''];
      for (const name of NAMES)
        for (const lane of LANES) {
          for (const tag of tags) mallory.write(lane, `j${tag} ${name}\n${POLLUTION}`);
          mallory.write(lane, `j${name}\n${POLLUTION}`);
        }
    },
  },
  'streams that are announced without end': {
    run: (mallory) => {
      for (let n = 0; n < 50; n++) {
        const streams = Array.from({ length: 40 }, (_, i) => ({
          id: i % 3 === 0 ? '__proto__' : `${i}`,
          revision: n % 2 === 0 ? -n : 'x',
          tracks: Array.from({ length: 20 }, () => ({ id: 'x', kind: 'video', mid: '__proto__' })),
        }));
        for (const lane of [CONTROL, REQUESTS])
          mallory.write(lane, `jmedia ${n}\n${JSON.stringify(streams)}`);
      }
    },
  },
  'descriptions of thousands of lines and addresses, over the connection': {
    run: async (mallory) => {
      for (const lines of [
        Array.from({ length: 12_000 }, (_, i) => `${LINE} 203.0.113.${i & 255} ${1 + i} typ host`),
        Array.from({ length: 30_000 }, (_, i) => `a=rtpmap:${i} x/${i}`),
      ]) {
        const signal = mallory.offer(`${mallory.sdp}${lines.join('\r\n')}\r\n`);
        await mallory.pour(CONTROL, 'jsignal', utf8Encode(JSON.stringify(signal)));
      }
    },
  },
  'its own signals again': {
    run: async (mallory) => {
      for (let i = 0; i < 4; i++)
        for (const { to, data } of mallory.sent) await mallory.send(to, data);
    },
  },
  'presence of every kind': {
    run: async (mallory) => {
      for (const presence of [
        JSON.parse(POLLUTION) as object,
        { nick: '\u202e\u0000<script>', presence: { a: NAMES } },
        { nick: 'x'.repeat(1000), role: 'observer', forwarding: { key: 'x', isWilling: 'y' } },
        { nick: 7, presence: null, forwarding: { key: '__proto__' } },
        { stay: -1 },
        { stay: 1e300 },
        [],
        null,
      ])
        await mallory.present(presence);
      for (const text of ['A', 'A'.repeat(2000), '']) await mallory.presentSealed(text);
    },
  },
};

export const ENDINGS: Readonly<Record<string, Ending>> = {
  'a first frame that names another': async (mallory, page) => {
    await mallory.connect(page);
    for (const lane of LANES) mallory.write(lane, `i${page} ${page} x`);
    await isCut(mallory);
  },
  'a value of a length that is none': async (mallory, page) => {
    await mallory.connect(page);
    await mallory.bind(page);
    mallory.write(VALUES, 'fj\n-1');
    await isCut(mallory);
  },
  'a connection that it gives up for another one, again and again': async (
    mallory,
    page,
    hasGivenUp,
  ) => {
    for (let i = 0; i < MAX_CONNECTIONS; i++) {
      await mallory.connect(page, hasGivenUp);
      if (await hasGivenUp()) return;
      mallory.introduce(page);
      await until(() => {
        mallory.write(UNORDERED, 'r');
        return mallory.hasEnded;
      }, 'a connection that it has given up is still there');
    }
    assert.fail('the page goes on connecting');
  },
};

/** Signals that mean nothing, and candidates that name places of everybody. */
export async function rubbishSignals(mallory: HostileMember, page: string): Promise<void> {
  for (const payload of [
    null,
    [],
    'x',
    JSON.parse(POLLUTION) as object,
    { stay: 'x', attempt: {}, description: [], candidates: {} },
    { stay: 1, attempt: 'y', description: { type: 'rollback', sdp: '' } },
    { stay: 1, attempt: 'y', description: { type: 'offer', sdp: 'x'.repeat(20_000) } },
    { stay: 1, attempt: 'y', description: { type: 'offer', sdp: sdpOf(MEDIA) } },
  ])
    await mallory.signal(page, payload);
  const candidates = PLACES.map((place) => ({
    candidate: `${LINE.slice(2)} ${place} 9 typ host`,
    sdpMid: '0',
    sdpMLineIndex: 0,
  }));
  for (let i = 0; i < 20; i++)
    await mallory.signal(page, { stay: 1, attempt: `z${i}`, candidates });
}
