import { randomBytes } from 'node:crypto';
import { setPriority } from 'node:os';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import { CHATTER } from './chatter.ts';
import { type Attack, FROM, flood, floodFrom, members } from './flood.ts';
import { FORWARDING } from './forwarding.ts';
import { GUESSES } from './guesses.ts';
import { KNOWN_ROOM } from './honest.ts';
import { LAYERS } from './layers.ts';
import { MESH } from './mesh.ts';
import { ROOMS } from './rooms.ts';
import { Stub } from './stub.ts';

/*
 * Who attacks, in a process of its own: each from one address, at 20 000 packets or 10 Mbit a second
 * at most. `node attackers.ts <name> <record> <ids of honest peers>` goes on until it is ended.
 */

const NICENESS = 10;

/** The datagrams of an honest beginning, as far as `isEnough` says. */
async function beginning(
  record: SignedRelayRecord,
  mayGo: (datagram: Uint8Array) => boolean,
): Promise<Stub> {
  return Stub.open(record, { from: FROM, mayGo });
}

const isHandshake = (datagram: Uint8Array): boolean => datagram[0] === 22;

export const ATTACKS: Readonly<Record<string, Attack>> = {
  'stun-flood': {
    what: 'plain binding requests',
    run: (record) =>
      floodFrom(record, () => {
        const request = new Uint8Array(20);
        request.set([0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]);
        request.set(randomBytes(12), 8);
        return request;
      }),
  },
  'check-flood': {
    what: 'connectivity checks with the public password, from many ports',
    run: async (record) => {
      const stub = await beginning(record, () => true);
      await new Promise((resolve) => setTimeout(resolve, 200));
      const [check = new Uint8Array(20)] = stub.sent;
      stub.close(false);
      await floodFrom(record, () => check, 500);
    },
  },
  noise: {
    what: 'random bytes',
    run: (record) => floodFrom(record, (i) => randomBytes(20 + (i % 1200))),
  },
  'hello-flood': {
    what: 'first ClientHellos',
    run: async (record) => {
      const stub = await beginning(record, () => true);
      await new Promise((resolve) => setTimeout(resolve, 500));
      const hello = stub.sent.find(isHandshake) ?? new Uint8Array(20);
      stub.close(false);
      await floodFrom(record, () => hello, 500);
    },
  },
  'cookie-replay': {
    what: 'one second ClientHello, with its cookie, again and again',
    run: async (record) => {
      const stub = await beginning(record, () => true);
      await new Promise((resolve) => setTimeout(resolve, 1000));
      const hello = stub.sent.findLast((datagram) => isHandshake(datagram) && datagram[13] === 1);
      stub.isDeaf = true;
      flood(() => {
        const datagram = hello ?? new Uint8Array(20);
        stub.throw(datagram);
        return datagram.length;
      });
    },
  },
  'fragment-bombs': {
    what: 'pieces of ClientHellos of 64 KB that are never whole',
    run: (record) =>
      floodFrom(
        record,
        (i) => {
          // RFC 6347 §4.1 and §4.2.2: record header (13), handshake header (12), 1000 bytes.
          const bytes = new Uint8Array(1025);
          const view = new DataView(bytes.buffer);
          bytes.set([22, 254, 255]);
          view.setUint32(7, i);
          view.setUint16(11, 1012);
          bytes.set([1, 0, 250, 0], 13);
          view.setUint16(20, (i % 60) * 1000);
          bytes.set([0, 3, 232], 22);
          return bytes;
        },
        500,
      ),
  },
  'half-open': {
    what: 'handshakes that end after the second ClientHello',
    run: async (record) => {
      for (;;) {
        let hellos = 0;
        const stub = await beginning(record, (datagram) => !isHandshake(datagram) || ++hellos <= 2);
        // It is there for as long as the relay waits.
        setTimeout(() => stub.close(false), 5000);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
  },
  sessions: {
    what: 'as many sessions as one address gets',
    run: async (record) => {
      for (;;) {
        await Stub.open(record, { from: FROM });
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
  },
  squatters: {
    what: 'sessions that join as many rooms as they may',
    run: async (record) => {
      const stubs = await members(record, 64);
      let i = 0;
      flood(() => {
        const room = `${i}`.padEnd(43, 'q');
        const message = { action: 'join', room, peer: `${i}`.padEnd(22, 'q') };
        stubs[i++ % stubs.length]?.say(message);
        return 200;
      });
    },
  },
  'presence-storm': {
    what: 'members of a known room whose presence changes all the time',
    run: async (record) => {
      const stubs = await members(record, 32);
      flood((i) => {
        const presence = `${i}`.padEnd(2000, 'x');
        const peer = `${i % stubs.length}`.padEnd(22, 'm');
        stubs[i % stubs.length]?.say({ action: 'join', room: KNOWN_ROOM, peer, presence });
        return 2150;
      });
    },
  },
  joiners: {
    what: 'members of a known room who come and go',
    run: async (record) => {
      const stubs = await members(record, 64);
      flood((i) => {
        const stub = stubs[(i >> 1) % stubs.length];
        const peer = `${i}`.padEnd(22, 'j');
        stub?.say(
          i % 2 === 0
            ? { action: 'join', room: KNOWN_ROOM, peer, presence: 'x'.repeat(1000) }
            : { action: 'leave', room: KNOWN_ROOM },
        );
        return 600;
      });
    },
  },
  impostors: {
    what: 'joins under the ids of those who are there',
    run: async (record, honest) => {
      const stubs = await members(record, 16);
      flood((i) => {
        const peer = honest[i % 2] ?? '';
        const message = { action: 'join', room: KNOWN_ROOM, peer, presence: 'rubbish' };
        stubs[i % stubs.length]?.say(message);
        return 200;
      });
    },
  },
  'starved-victim': {
    what: 'large signals to one member of a known room',
    run: async (record, [victim = '']) => {
      const stubs = await members(record, 16);
      for (const [i, stub] of stubs.entries())
        stub.say({ action: 'join', room: KNOWN_ROOM, peer: `${i}`.padEnd(22, 's') });
      const data = 'x'.repeat(30_000);
      flood((i) => {
        stubs[i % stubs.length]?.say({ action: 'signal', room: KNOWN_ROOM, to: victim, data });
        return 30_100;
      });
    },
  },
  'deaf-hogs': {
    what: 'members who acknowledge nothing of what they are sent',
    run: async (record) => {
      const stubs = await members(record, 64);
      const room = 'h'.repeat(43);
      for (const [i, stub] of stubs.entries())
        stub.say({ action: 'join', room, peer: `${i}`.padEnd(22, 'h') });
      await new Promise((resolve) => setTimeout(resolve, 500));
      for (const [i, stub] of stubs.entries()) stub.isDeaf = i % 2 === 1;
      const data = 'x'.repeat(30_000);
      flood((i) => {
        const to = `${1 + 2 * (i % 32)}`.padEnd(22, 'h');
        stubs[2 * (i % 32)]?.say({ action: 'signal', room, to, data });
        return 30_100;
      });
    },
  },
  'json-bombs': {
    what: 'frames of brackets',
    run: async (record) => {
      const stubs = await members(record, 16);
      const bomb = '['.repeat(60_000);
      flood((i) => {
        stubs[i % stubs.length]?.say(bomb);
        return bomb.length;
      });
    },
  },
  ...ROOMS,
  ...LAYERS,
  ...MESH,
  ...CHATTER,
  ...FORWARDING,
  ...GUESSES,
};

if (process.argv[1] === import.meta.filename) {
  const [, , name = '', record = '{}', honest = '[]'] = process.argv;
  // Attackers have machines of their own: what theirs costs is not taken from the relay's.
  setPriority(NICENESS);
  process.send?.('started');
  await ATTACKS[name]?.run(
    JSON.parse(record) as SignedRelayRecord,
    JSON.parse(honest) as readonly string[],
  );
}
