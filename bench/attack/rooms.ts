import { type SignedRelayRecord, joinProofText } from '@lumamesh/protocol';
import { makeJoiningPeer } from '@lumamesh/testkit';
import { type Attack, flood, members } from './flood.ts';
import { KNOWN_ROOM, PRESENCE } from './honest.ts';
import type { Stub } from './stub.ts';

/* What is done to a room by who knows its id: its places, its members' names, its lists. */
const NETWORKS = 5;
const OF_A_NETWORK = 64;

/** An address in one of a few networks. */
const spread = (i: number): string => `127.2.${10 + (i % NETWORKS)}.1`;

/** Members with proven ids, who say again and again that they join a known room. */
async function fill(
  record: SignedRelayRecord,
  count: number,
  bytes: number,
  fromOf?: (i: number) => string,
): Promise<void> {
  const { of, onFrame } = challenges();
  const stubs = await members(record, count, onFrame, fromOf);
  const joins = stubs.map((stub) => {
    const peer = makeJoiningPeer();
    const text = joinProofText(record.nk, of.get(stub) ?? '', KNOWN_ROOM, peer.id);
    return JSON.stringify({
      action: 'join',
      room: KNOWN_ROOM,
      peer: peer.id,
      presence: PRESENCE,
      proof: peer.prove(text),
    });
  });
  flood((i) => {
    stubs[i % count]?.say(joins[i % count] ?? '');
    return bytes;
  });
}

/** The challenge of each session that has been welcomed. */
function challenges(): {
  readonly of: Map<Stub, string>;
  readonly onFrame: (frame: string, stub: Stub) => void;
} {
  const of = new Map<Stub, string>();
  const onFrame = (text: string, stub: Stub): void => {
    if (of.has(stub)) return;
    const { challenge } = JSON.parse(text) as { readonly challenge?: string };
    if (challenge !== undefined) of.set(stub, challenge);
  };
  return { of, onFrame };
}

export const ROOMS: Readonly<Record<string, Attack>> = {
  'room-filling': {
    what: 'members with proven ids on all places that one address gets in a known room',
    run: async (record) => fill(record, 64, 800),
  },
  'room-networks': {
    what: 'the same from five networks, more than there are places: who was put out comes again',
    // A session joins 64 times at once, and then once a second.
    run: async (record) => fill(record, NETWORKS * OF_A_NETWORK, 5000, spread),
  },
  'room-strangers': {
    what: 'members without proofs on all places of a known room, from five networks',
    run: async (record) => {
      const stubs = await members(record, NETWORKS * OF_A_NETWORK, undefined, spread);
      flood((i) => {
        const peer = `${i % stubs.length}`.padEnd(22, 's');
        stubs[i % stubs.length]?.say({ action: 'join', room: KNOWN_ROOM, peer });
        return 5000;
      });
    },
  },
  'list-readers': {
    what: 'members of a large room who leave and join it to be told the list again',
    run: async (record) => {
      const stubs = await members(record, 64);
      const presence = 'x'.repeat(1300);
      flood((i) => {
        const stub = stubs[(i >> 1) % stubs.length];
        const peer = `${(i >> 1) % stubs.length}`.padEnd(22, 'l');
        stub?.say(
          i % 2 === 0
            ? { action: 'leave', room: KNOWN_ROOM }
            : { action: 'join', room: KNOWN_ROOM, peer, presence },
        );
        return 700;
      });
    },
  },
  'replayed-proofs': {
    what: 'joins under the ids of those who are there, with proofs of others and of other sessions',
    run: async (record, honest) => {
      const { of, onFrame } = challenges();
      const stubs = await members(record, 32, onFrame);
      const own = makeJoiningPeer();
      const [first] = stubs;
      const challenge = (first === undefined ? undefined : of.get(first)) ?? '';
      const proof = own.prove(joinProofText(record.nk, challenge, KNOWN_ROOM, own.id));
      flood((i) => {
        // A proof of another session; and one for the honest id, by a key that is not its own.
        const peer = i % 2 === 0 ? own.id : honest[(i >> 1) % 2];
        stubs[1 + (i % (stubs.length - 1))]?.say({
          action: 'join',
          room: KNOWN_ROOM,
          peer,
          presence: PRESENCE,
          proof,
        });
        return 500;
      });
    },
  },
  'sessions-anew': {
    what: 'members who join, signal and vanish without a goodbye',
    run: async (record, honest) => {
      for (let i = 0; ; i++) {
        const [stub] = await members(record, 1);
        const peer = `${i}`.padEnd(22, 'v');
        stub?.say({ action: 'join', room: KNOWN_ROOM, peer, presence: PRESENCE });
        stub?.say({ action: 'signal', room: KNOWN_ROOM, to: honest[i % 2], data: 'x'.repeat(300) });
        stub?.close(false);
      }
    },
  },
  newcomers: {
    what: 'sessions from eight networks, ended as soon as they are open and begun anew',
    run: async (record) => {
      const comeAndGo = async (worker: number): Promise<never> => {
        for (;;) {
          const from = (): string => `127.2.${10 + (worker % 8)}.${1 + (worker >> 3)}`;
          const [stub] = await members(record, 1, undefined, from);
          stub?.close();
        }
      };
      await Promise.all(Array.from({ length: 64 }, async (_, i) => comeAndGo(i)));
    },
  },
  questions: {
    what: 'questions for relays, and to be dialled back, of many sessions',
    run: async (record) => {
      const stubs = await members(record, 64);
      flood((i) => {
        const message =
          i % 2 === 0 ? { action: 'nodes', limit: 64 } : { action: 'dial-back', record };
        const text = JSON.stringify(message);
        stubs[(i >> 1) % stubs.length]?.say(text);
        return text.length;
      });
    },
  },
  'list-egress': {
    what: 'members who make the relay send as much as it does for them, over a line of 20 Mbit/s',
    linkMbits: 20,
    run: async (record) => {
      const stubs = await members(record, 64);
      const data = 'x'.repeat(8000);
      const idOf = (i: number): string => `${i % stubs.length}`.padEnd(22, 'e');
      for (const [i, stub] of stubs.entries())
        stub.say({ action: 'join', room: 'e'.repeat(43), peer: idOf(i), presence: PRESENCE });
      flood((i) => {
        stubs[i % stubs.length]?.say({
          action: 'signal',
          room: 'e'.repeat(43),
          to: idOf(i + 1),
          data,
        });
        return data.length;
      });
    },
  },
};
