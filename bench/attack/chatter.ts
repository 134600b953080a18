import type { Attack } from './flood.ts';
import { flood, members } from './flood.ts';
import { KNOWN_ROOM } from './honest.ts';
import type { Stub } from './stub.ts';

/* Members who stay within the grammar, and say very much: small frames cost most by the byte. */
const SESSIONS = 64;

/** All of them talk in turn, as fast as the bounds allow. */
function talk(stubs: readonly Stub[], frame: (i: number) => object): void {
  flood((i) => {
    const text = JSON.stringify(frame(i));
    stubs[i % stubs.length]?.say(text);
    return text.length;
  });
}

const idOf = (i: number): string => `${i}`.padEnd(22, 'c');

export const CHATTER: Readonly<Record<string, Attack>> = {
  pings: {
    what: 'pings of many sessions',
    run: async (record) => talk(await members(record, SESSIONS), () => ({ action: 'ping' })),
  },
  'signals-to-nobody': {
    what: 'signals to members who are not there, each of which is answered by an error',
    run: async (record) => {
      const stubs = await members(record, SESSIONS);
      for (const [i, stub] of stubs.entries())
        stub.say({ action: 'join', room: KNOWN_ROOM, peer: idOf(i) });
      talk(stubs, () => ({ action: 'signal', room: KNOWN_ROOM, to: 'n'.repeat(22), data: '' }));
    },
  },
  'small-signals': {
    what: 'small signals to the members of a known room',
    run: async (record, honest) => {
      const stubs = await members(record, SESSIONS);
      for (const [i, stub] of stubs.entries())
        stub.say({ action: 'join', room: KNOWN_ROOM, peer: idOf(i) });
      talk(stubs, (i) => ({ action: 'signal', room: KNOWN_ROOM, to: honest[i % 2], data: 'x' }));
    },
  },
  channels: {
    what: 'data channels that are opened and closed all the time',
    run: async (record) => {
      const stubs = await members(record, SESSIONS);
      flood((i) => {
        stubs[i % stubs.length]?.reopenChannel(i % 3 === 0 ? 'lumamesh' : 'x'.repeat(1000));
        return 1000;
      });
    },
  },
  'false-proofs': {
    what: 'joins with proofs that are none, each of which has to be verified',
    run: async (record) => {
      const stubs = await members(record, SESSIONS);
      const proof = { key: `B${'A'.repeat(86)}`, signature: 'A'.repeat(86) };
      talk(stubs, (i) => ({ action: 'join', room: `${i}`.padEnd(43, 'f'), peer: idOf(i), proof }));
    },
  },
};
