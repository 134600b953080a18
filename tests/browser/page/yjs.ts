import { LumameshProvider } from '@lumamesh/yjs';
import { type Net, connect } from 'lumamesh';
import * as Y from 'yjs';
import { log, note } from './log.ts';

/* What yjs.test.ts drives inside pages. A page may be several members. Results go back as JSON. */

interface StartOptions {
  readonly relay: string;
  readonly name: string;
  readonly password?: string;
  readonly maxConns?: number;
  /** Whether tabs of one browser share a place in the room. */
  readonly sharesTabs?: boolean;
}

interface Member {
  readonly doc: Y.Doc;
  readonly net: Net;
  readonly provider: LumameshProvider;
}

const members = new Map<string, Member>();

function memberOf(nick: string): Member {
  const member = members.get(nick);
  if (member === undefined) throw new Error(`no ${nick} here`);
  return member;
}

function start(nick: string, options: StartOptions): void {
  const { relay, name, password, maxConns, sharesTabs = false } = options;
  const doc = new Y.Doc();
  const net = connect({ relays: [relay], storage: null });
  const provider = new LumameshProvider(
    doc,
    { net, name, ...(password === undefined ? {} : { password }) },
    { filterBcConns: sharesTabs, ...(maxConns === undefined ? {} : { maxConns }) },
  );
  members.set(nick, { doc, net, provider });
  provider.awareness.setLocalState({ nick });
  provider.on('synced', () => note('synced', nick));
  provider.on('status', ({ connected }) => note('status', connected));
  provider.on('error', ({ error }) => note('error', String(error)));
  provider.on('peers', ({ webrtcPeers, bcPeers }) =>
    note('peers', [webrtcPeers.length, bcPeers.length]),
  );
  provider.awareness.on('change', () => note('names', namesAt(nick)));
}

const textOf = (nick: string): Y.Text => memberOf(nick).doc.getText('text');

function namesAt(nick: string): readonly string[] {
  const { states } = memberOf(nick).provider.awareness;
  return [...states.values()].map((state) => String(state['nick'])).toSorted();
}

/** A text that tells documents apart. */
async function hashOf(nick: string): Promise<string> {
  const { doc } = memberOf(nick);
  const bytes = Y.encodeSnapshot(Y.snapshot(doc));
  // Of a large one its history says enough.
  const content = textOf(nick).length < 100_000 ? textOf(nick).toJSON() : '';
  const all = new Uint8Array([...bytes, ...new TextEncoder().encode(content)]);
  const hash = await crypto.subtle.digest('SHA-256', all);
  return `${textOf(nick).length} ${new Uint8Array(hash).slice(0, 8).join('.')}`;
}

Object.assign(globalThis, {
  harness: {
    log: () => log,
    start,
    hashOf,
    namesAt,
    text: (nick: string) => textOf(nick).toJSON(),
    length: (nick: string) => textOf(nick).length,
    insert: (nick: string, at: number, text: string) => textOf(nick).insert(at, text),
    /** Writes and deletes here and there, in so many transactions over some time. */
    scribble: async (nick: string, count: number, seed: number) => {
      const text = textOf(nick);
      let state = seed;
      const random = (below: number): number => {
        state = Math.imul(state, 48_271) >>> 1;
        return state % below;
      };
      for (let i = 0; i < count; i++) {
        const at = random(text.length + 1);
        if (text.length > 9 && random(3) === 0) text.delete(Math.max(0, at - 5), 3);
        else text.insert(at, `${nick}${i} `);
        if (i % 5 === 0) await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    /** Fills the document up to so many bytes. */
    fill: (nick: string, bytes: number) => {
      const part = 'all work and no play makes jack a dull boy\n'.repeat(100);
      const { doc } = memberOf(nick);
      doc.transact(() => {
        for (let length = 0; length < bytes; length += part.length)
          textOf(nick).insert(length, part);
      });
      return Y.encodeStateAsUpdate(doc).length;
    },
    connections: (nick: string) =>
      memberOf(nick).provider.room?.peers.filter(({ state }) => state !== 'idle').length ?? 0,
    isCarrier: (nick: string) => memberOf(nick).provider.room !== null,
    isSynced: (nick: string) => memberOf(nick).provider.synced,
    connect: (nick: string) => memberOf(nick).provider.connect(),
    disconnect: (nick: string) => memberOf(nick).provider.disconnect(),
    leave: async (nick: string) => {
      const { doc, net } = memberOf(nick);
      doc.destroy();
      await net.close();
      members.delete(nick);
    },
  },
});
