import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import nodeDataChannel from 'node-datachannel';
import * as webrtc from 'node-datachannel/polyfill';
import { CHANNEL_ID, type SignedRelayRecord, parseRelayMessage } from '@lumamesh/protocol';
import {
  type MeshRelay,
  connectToRelay,
  environmentOf,
  pause,
  until,
  withRelays,
} from '@lumamesh/testkit';
import { type ConnectOptions, type Net, type Room, connect } from './index.ts';

/* An open relay and private ones in one mesh: processes of relays, and whole clients in Node. */

const TOKEN = 'token-of-the-members-1';
const ROOM = 'tea'.padEnd(43, '_');

/** What a relay knows of others, and the homes it names for a room: by node key, what each asks. */
async function told(record: SignedRelayRecord): Promise<{
  readonly nodes: ReadonlyMap<string, string>;
  readonly homes: ReadonlyMap<string, string>;
}> {
  const said = new Map<'nodes' | 'homes', readonly SignedRelayRecord[]>();
  let isWelcome = false;
  const client = await connectToRelay(record, (event) => {
    const message = event.type === 'message' ? parseRelayMessage(String(event.data)) : null;
    if (message?.ok !== true) return;
    const { value } = message;
    isWelcome ||= value.action === 'welcome';
    if (value.action === 'nodes') said.set('nodes', value.nodes as readonly SignedRelayRecord[]);
    if (value.action === 'joined')
      said.set('homes', (value.homes ?? []) as readonly SignedRelayRecord[]);
  });
  try {
    await until(() => isWelcome, 'no welcome');
    const say = (frame: object): unknown => client.send(CHANNEL_ID, JSON.stringify(frame));
    say({ action: 'nodes', limit: 64, after: '' });
    say({ action: 'join', room: ROOM, peer: 'wire'.padEnd(22, '_'), presence: 'wire' });
    await until(() => said.size === 2, 'no answer');
    const access = (what: 'nodes' | 'homes'): ReadonlyMap<string, string> =>
      new Map(said.get(what)?.map((one) => [one.nk, one.access ?? 'open']));
    return { nodes: access('nodes'), homes: access('homes') };
  } finally {
    await client.close();
  }
}

/** What a private relay has counted of those who came to it. */
async function visitors(i: number, { folder }: MeshRelay): Promise<Record<string, number>> {
  const response = await fetch(`http://${environmentOf(i, folder)['HEALTH_LISTEN']}/statsz`);
  const stats = (await response.json()) as {
    readonly sessions: { readonly established: number };
    readonly access: { readonly waiting: number; readonly denied: number };
  };
  const { waiting, denied } = stats.access;
  return { established: stats.sessions.established, waiting, denied };
}

/** A page, and the relays that it ever dialled. */
class Page {
  readonly net: Net;
  readonly dialled = new Set<string>();

  constructor(options: ConnectOptions) {
    this.net = connect({ storage: null, webrtc, ...options });
    const look = (): void => {
      for (const { nk, state } of this.net.status.relays)
        if (state !== 'waiting') this.dialled.add(nk);
    };
    look();
    this.net.on('status', look);
  }

  holds({ record }: MeshRelay): boolean {
    return this.net.status.relays.some(({ nk, state }) => nk === record.nk && state === 'open');
  }
}

// Connections whose other side was killed hold the process, although all of them are closed.
after(() => nodeDataChannel.cleanup());

const openPeers = (room: Room): number => room.peers.filter(({ isOpen }) => isOpen).length;

describe('an open relay and private ones in one mesh', () => {
  it('members and strangers meet where both get in, members by themselves as well; strangers are sent to no private relay', () =>
    withRelays(async (start) => {
      const pages: Page[] = [];
      const page = (options: ConnectOptions): Page => {
        const made = new Page(options);
        pages.push(made);
        return made;
      };
      const open = start(0, []);
      const settings = join(open.folder, 'private.env');
      await writeFile(settings, `ACCESS_TOKENS=${TOKEN}\n`);
      const one = start(1, [0], { LUMAMESH_CONFIG: settings });
      const two = start(2, [0], { ACCESS_TOKENS: TOKEN });
      const relays = [open, one, two];
      await Promise.all(relays.map((relay) => relay.ready()));
      const shown = (): string =>
        JSON.stringify([pages.map(({ net }) => net.status), relays.map(({ stderr }) => stderr)]);
      try {
        await until(
          async () =>
            (await Promise.all(relays.map((relay) => relay.stats()))).every(
              ({ records }) => records.alive === 2,
            ),
          shown,
        );
        // Gossip says which ones are private; where open homes are too few, private ones are named
        // for those who can enter them.
        const others = new Map([one, two].map(({ record }) => [record.nk, 'token']));
        await until(async () => (await told(open.record)).homes.size === 2, shown);
        const { nodes, homes } = await told(open.record);
        assert.deepEqual(homes, others);
        const known = [...nodes].filter(([nk]) => nk !== open.record.nk);
        assert.deepEqual(new Map(known), others);

        const strangers = [
          page({ relays: [open.line] }),
          // A list of both kinds.
          page({ relays: [one.line, open.line] }),
        ];
        const members = [
          page({ relays: [one.line], token: TOKEN }),
          page({ relays: [two.line], token: TOKEN }),
        ];
        const tea = pages.map(({ net }) => net.joinRoom('tea'));
        await until(() => tea.every((room) => openPeers(room) === 3), shown);
        const den = members.map(({ net }) => net.joinRoom('den'));
        await until(() => den.every((room) => openPeers(room) === 1), shown);
        // Members hold the open relay besides, which is home before theirs.
        await until(() => members.every((member) => member.holds(open)), shown);

        const isApart = async (): Promise<void> => {
          for (const { dialled } of strangers)
            assert.deepEqual([...dialled], [open.record.nk], shown());
          for (const [i, relay] of [one, two].entries()) {
            const { waiting, denied } = await visitors(i + 1, relay);
            assert.deepEqual([waiting, denied], [0, 0]);
          }
        };
        await isApart();

        // Without the open relay members go on among themselves, and strangers stay out.
        await open.end('SIGKILL');
        await until(() => strangers.every((stranger) => !stranger.holds(open)), shown);
        const late = members.map(({ net }) => net.joinRoom('late'));
        await until(() => late.every((room) => openPeers(room) === 1), shown);
        const alone = strangers.map(({ net }) => net.joinRoom('late'));
        // Long enough for some rounds of dialling.
        await pause(5000);
        await isApart();
        assert.ok(alone.every((room) => openPeers(room) === 0));

        // An operator opens his relay: gossip says so, and strangers come in.
        const back = start(0, [1]);
        relays.push(back);
        await back.ready();
        await writeFile(settings, '# open to all\n');
        one.child.kill('SIGHUP');
        await until(
          async () => (await told(back.record)).nodes.get(one.record.nk) === 'open',
          shown,
        );
        const newcomer = page({ relays: [back.line] });
        const all = [...late, ...alone, newcomer.net.joinRoom('late')];
        await until(() => all.every((room) => openPeers(room) === 4), shown);
        // It is a home like any other now.
        await until(() => newcomer.holds(one), shown);
        for (const { dialled } of [newcomer, ...strangers])
          assert.ok(!dialled.has(two.record.nk), shown());
      } finally {
        await Promise.all(pages.map(async ({ net }) => net.close()));
      }
    }));
});
