import { type Instant, later } from '@lumamesh/base';
import { type RelayMessage, type SignedRelayRecord, parseRecordJson } from '@lumamesh/protocol';
import type { PageStorage } from '../../api.ts';
import type { Feature, NetHandle, NetPart } from '../../feature.ts';
import { loadRelays, serialiseRelays } from './relay-cache.ts';
import { findFeeler, takeRelay, wantsRelay } from './relay-intake.ts';
import { RoomHomes } from './room-homes.ts';

const CACHE_KEY = 'lumamesh:relays';
const NODES_ASKED = 64;
/**
 * A relay heard of, but never reached, is tried this often while all is well: what is remembered
 * should be known to work. Bitcoin Core calls it a feeler connection.
 */
export const FEELER_INTERVAL_MS = 120_000;

/**
 * Learns of further relays from those that are reached, holds the homes of the page's rooms, and
 * remembers relays until the next visit. `connect({ discover: false })` switches it off.
 */
export function discovery(): Feature {
  return { name: 'discovery', net: (net) => (net.options.discover === false ? {} : discover(net)) };
}

function discover(net: NetHandle): NetPart {
  const { platform, options, book, choice } = net;
  const storage: PageStorage | null =
    options.storage === undefined ? platform.storage('localStorage') : options.storage;
  const roomHomes = new RoomHomes(book);
  let feelerAt: Instant | null = null;
  let isDirty = false;

  const save = (): void => {
    isDirty = false;
    try {
      storage?.setItem(CACHE_KEY, serialiseRelays(book));
    } catch {
      // Full, or not allowed: the next visit begins with the page's own relays.
    }
  };

  /** Returns the node keys of those that are known now. Only what would be kept is verified. */
  const learn = async (announcer: string, records: readonly unknown[]): Promise<string[]> => {
    const known: string[] = [];
    for (const json of records) {
      const parsed = parseRecordJson(json);
      if (!parsed.ok) continue;
      const record: SignedRelayRecord = parsed.value;
      const seconds = platform.unixSeconds();
      if (
        choice.mayEnter(record) &&
        wantsRelay(book, record, announcer, seconds) &&
        (await platform.verifyRecord(record)) === true
      ) {
        takeRelay(book, record, announcer, seconds);
        isDirty = true;
      }
      if (book.get(record.nk) !== undefined) known.push(record.nk);
    }
    return known;
  };

  const handleMessage = async (nk: string, message: RelayMessage): Promise<void> => {
    if (message.action === 'welcome') await learn(nk, [message.node]);
    else if (message.action === 'nodes') await learn(nk, message.nodes);
    else if (message.action === 'joined' && message.homes !== undefined) {
      // A room that reaches over several relays: its homes are where everybody looks.
      const homes = await learn(nk, message.homes);
      roomHomes._name(message.room, homes, nk);
    } else return;
    net.replan();
  };

  return {
    onStart: () => {
      choice.wanted = () => roomHomes._of(net.roomIds);
      try {
        loadRelays(book, storage?.getItem(CACHE_KEY) ?? null, platform.unixSeconds());
      } catch {
        // Not allowed to look.
      }
    },
    onRelayOpen: (nk) => {
      isDirty = true;
      // One page: it has a relay of each network first, which is more than a page needs.
      net.send(nk, { action: 'nodes', limit: NODES_ASKED, after: '' });
    },
    onRelayMessage: (nk, message) => void handleMessage(nk, message),
    onTick: (now) => {
      if (isDirty) save();
      feelerAt ??= later(now, FEELER_INTERVAL_MS);
      if (now < feelerAt) return;
      feelerAt = null;
      choice.feeler = findFeeler(book, now, choice.mayEnter);
    },
    onClose: save,
  };
}
