import { type Instant, LumameshError } from '@lumamesh/base';
import { toError } from '../extend.ts';
import type { Api, Feature, NetHandle, NetPart } from '../feature.ts';
import { tagOf } from '../peer/value-classes.ts';
import {
  type KnownRelay,
  type RelaySource,
  readRelayList,
  readRelaySources,
} from '../net/relay-source.ts';

/** A list is read again after about this: while relays are reached, and while none is. */
const REFRESH_MS = 600_000;
const RETRY_MS = 30_000;
const URL_LIKE = /^(https?:|\.{0,2}\/)\S*$/;
const NODE_KEY = /^[\w-]{43}$/;
/** As a signed list has: some 1 500 relays. */
const MAX_LIST_BYTES = 1_048_576;
/** The source of relays that were added one by one. */
const ADDED = 'added';

export interface RelayListsNet {
  /**
   * Adds relays of the page's own: records, lines, texts or URLs of a `relay.txt`. Throws
   * `BAD_RELAY`.
   */
  addRelays(relays: RelaySource | readonly RelaySource[]): void;
  /**
   * Removes relays, whoever named them, and hangs up on them: as they were added, or by node key.
   * Of a URL those that its list named go. Throws `BAD_RELAY`.
   */
  removeRelays(relays: RelaySource | readonly RelaySource[]): void;
}

export interface RelayListsApi extends Api {
  readonly net: RelayListsNet;
}

/**
 * Relays by the URL of a `relay.txt`, `connect({ relays: '/relay.txt' })`, which is read again every
 * ten minutes, when the page wakes up and while no relay is reached; `net.addRelays`,
 * `net.removeRelays`.
 */
export function relayLists(): Feature<RelayListsApi> {
  return { name: 'relayLists', net: listsOf };
}

function listsOf(net: NetHandle): NetPart {
  const { platform, book, options } = net;
  const added = new Map<string, KnownRelay>();
  /** When each list is read again, by URL. */
  const lists = new Map<string, { readAt: Instant; share: number }>();

  const read = async (url: string): Promise<void> => {
    // A crowd that came together does not come together again.
    const list = { readAt: platform.now(), share: 0.75 + platform.random() / 2 };
    lists.set(url, list);
    let fault: LumameshError | null = null;
    try {
      // The browser asks whether what it has is still the latest (ETag).
      const response = await platform.scope.fetch?.(url, {
        credentials: 'omit',
        cache: 'no-cache',
        signal: AbortSignal.timeout(RETRY_MS / 2),
      });
      if (response?.ok !== true) throw new Error(`HTTP ${response?.status}`);
      const named = readRelayList(await textOf(response), options.logger?.warn);
      // A list that says something false of a relay must not put out what others say of it.
      const verdicts = await Promise.all(named.map((relay) => platform.verifyRecord(relay)));
      const relays = named.filter((_relay, i) => verdicts[i] !== false);
      if (relays.length === 0) throw new Error('it names no relay');
      // Removed, or read again, meanwhile.
      if (net.isClosed || lists.get(url) !== list) return;
      net.setSeeds(url, relays);
    } catch (cause) {
      const { message } = toError(cause);
      fault = new LumameshError('RELAY_LIST_FAILED', `${url}: ${message}`, { cause });
    }
    if (lists.get(url) === list && !net.isClosed) net.reportFault(url, fault);
  };

  /** Reads what was not read in the last `ms`. */
  const refresh = (ms: number): void => {
    for (const [url, { readAt, share }] of lists)
      if (platform.now() - readAt >= ms * share) void read(url);
  };

  const takeSource = (source: unknown): boolean => {
    const isOurs = isUrl(source);
    if (isOurs) void read(String(source));
    return isOurs;
  };

  const api: RelayListsNet = {
    addRelays: (relays) => {
      if (net.isClosed) throw new LumameshError('NET_CLOSED', 'this net was closed');
      const sources = listOf(relays);
      const own = readRelaySources(
        sources.filter((source) => !isUrl(source)),
        options.logger?.warn,
      );
      for (const source of sources) takeSource(source);
      for (const relay of own) {
        book.removed.delete(relay.nk);
        added.set(relay.nk, relay);
      }
      net.setSeeds(ADDED, [...added.values()]);
    },
    removeRelays: (relays) => {
      const sources = listOf(relays);
      const keys = sources.filter(isNodeKey);
      const own = readRelaySources(
        sources.filter((source) => !isNodeKey(source) && !isUrl(source)),
        options.logger?.warn,
      );
      for (const nk of [...keys, ...own.map((relay) => relay.nk)]) {
        book.removed.add(nk);
        added.delete(nk);
      }
      for (const url of sources.filter(isUrl).map(String)) {
        lists.delete(url);
        net.reportFault(url, null);
        net.setSeeds(url, []);
      }
      net.setSeeds(ADDED, [...added.values()]);
    },
  };

  return {
    api,
    takeSource,
    onWake: () => refresh(RETRY_MS),
    onTick: () =>
      refresh(book.entries.every(({ failures }) => failures > 0) ? RETRY_MS : REFRESH_MS),
  };
}

/** Rejects at what is longer than any list. */
async function textOf({ body }: Response): Promise<string> {
  const reader = body?.getReader();
  const decoder = new TextDecoder();
  let text = '';
  for (let bytes = 0; bytes <= MAX_LIST_BYTES;) {
    const { value } = (await reader?.read()) ?? {};
    if (value === undefined) return text;
    bytes += value.length;
    text += decoder.decode(value, { stream: true });
  }
  void reader?.cancel();
  throw new Error('it has more than 1 MB');
}

function listOf(relays: RelaySource | readonly RelaySource[]): readonly RelaySource[] {
  return Array.isArray(relays) ? relays : [relays as RelaySource];
}

function isUrl(source: unknown): boolean {
  return tagOf(source) === 'URL' || (typeof source === 'string' && URL_LIKE.test(source));
}

function isNodeKey(source: unknown): source is string {
  return typeof source === 'string' && NODE_KEY.test(source);
}
