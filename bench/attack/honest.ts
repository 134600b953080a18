import {
  type SignedRelayRecord,
  type WebCryptoSubtle,
  joinProofText,
  proveAccess,
} from '@lumamesh/protocol';
import { type JoiningPeer, makeJoiningPeer, patience } from '@lumamesh/testkit';
import { Stub } from './stub.ts';

/*
 * Those who must notice nothing, in a process of their own: pairs who signal to each other at an
 * ordinary pace, and newcomers who join one after another, every second one the room that attackers
 * know, where it says hello to its first member and waits for the reply: they have met. Each has an
 * address of its own. At a private relay all of them show a token, and some newcomers come from the
 * attacker's own network.
 */
const PAIRS = 10;
const SIGNALS_PER_SECOND = 10;
const NEWCOMER_INTERVAL_MS = 500;
/** After that a newcomer counts as turned away, and a signal as lost. */
export const LIMIT_MS = patience(15_000);
const LOOK_EVERY_MS = 20;
/** The room of the first pair: attackers know it. */
export const KNOWN_ROOM = 'known-room'.padEnd(43, '-');
export const PRESENCE = 'p'.repeat(300);

export interface HonestReport {
  readonly sent: number;
  readonly received: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly joins: number;
  readonly joinP50Ms: number;
  readonly joinMaxMs: number;
  readonly lostSessions: number;
  /** Members whom their partner saw leave. */
  readonly seenLeaving: number;
  /** Codes of the errors that members were told, each with how often. */
  readonly refusals: Readonly<Record<string, number>>;
}

/** What a newcomer says, and what it is answered. */
const [HELLO, REPLY] = ['hello', 'reply'];

const subtle = crypto.subtle as unknown as WebCryptoSubtle;

/** Joins a room; resolves when the relay has taken it in, with what that took in ms. */
export async function join(
  record: SignedRelayRecord,
  from: string,
  peer: JoiningPeer,
  room: string,
  onFrame: (frame: Record<string, unknown>) => void,
  token?: string,
): Promise<{ readonly stub: Stub; readonly tookMs: number }> {
  const startedAt = performance.now();
  const joined = Promise.withResolvers<number>();
  const enter = async (self: Stub, challenge: string): Promise<void> => {
    if (token !== undefined)
      self.say({ action: 'access', proof: await proveAccess(subtle, token, record, challenge) });
    self.say({
      action: 'join',
      room,
      peer: peer.id,
      presence: PRESENCE,
      proof: peer.prove(joinProofText(record.nk, challenge, room, peer.id)),
    });
  };
  const stub = await Stub.open(record, {
    from,
    onFrame: (text, self) => {
      const frame = JSON.parse(text) as Record<string, unknown>;
      if (frame['action'] === 'welcome') void enter(self, String(frame['challenge']));
      else if (frame['action'] === 'joined') joined.resolve(performance.now() - startedAt);
      onFrame(frame);
    },
  });
  const timer = setTimeout(() => joined.resolve(Number.POSITIVE_INFINITY), LIMIT_MS);
  const tookMs = await joined.promise;
  clearTimeout(timer);
  return { stub, tookMs };
}

const roomOf = (i: number): string => (i < 2 ? KNOWN_ROOM : `room${i >> 1}`.padEnd(43, '-'));
const addressOf = (i: number): string => `127.1.${1 + (i >> 8)}.${1 + (i & 255)}`;

/** A neighbour of the attacker, who has another address of its network. */
const neighbourOf = (i: number): string => `127.2.0.${50 + (i % 200)}`;

async function run(record: SignedRelayRecord, token?: string): Promise<void> {
  const peers = Array.from({ length: 2 * PAIRS }, makeJoiningPeer);
  const latencies: number[] = [];
  const joins: number[] = [];
  /** When each signal of this measurement was sent that has not arrived. */
  const onTheirWay = new Map<string, number>();
  let [sent, seenLeaving, newcomersWaiting] = [0, 0, 0];
  let refusals: Record<string, number> = {};
  let isCounting = false;
  let measurement = 0;
  const stubs: Stub[] = [];
  for (const [i, peer] of peers.entries()) {
    const room = roomOf(i);
    const partner = peers[i ^ 1]?.id;
    const onFrame = (frame: Record<string, unknown>): void => {
      if (frame['action'] === 'error') {
        const code = String(frame['code']);
        refusals[code] = (refusals[code] ?? 0) + 1;
      }
      if (frame['action'] === 'peer-left' && frame['peer'] === partner) seenLeaving += 1;
      if (frame['action'] === 'signal' && frame['data'] === HELLO)
        stubs[i]?.say({ action: 'signal', room, to: frame['from'], data: REPLY });
      if (frame['action'] !== 'signal' || frame['from'] !== partner) return;
      const data = String(frame['data']);
      const sentAt = onTheirWay.get(data);
      if (sentAt === undefined) return;
      onTheirWay.delete(data);
      latencies.push(performance.now() - sentAt);
    };
    const { stub } = await join(record, addressOf(i), peer, room, onFrame, token);
    stubs.push(stub);
  }
  let turn = 0;
  setInterval(
    () => {
      const i = turn++ % peers.length;
      const room = roomOf(i);
      const data = `${turn}-`.padEnd(300, 'x');
      if (isCounting) {
        sent += 1;
        onTheirWay.set(data, performance.now());
      }
      stubs[i]?.say({ action: 'signal', room, to: peers[i ^ 1]?.id, data });
    },
    1000 / SIGNALS_PER_SECOND / PAIRS,
  );
  /** A newcomer joins, in every second case meets somebody, and goes; what that took in ms. */
  const visit = async (i: number): Promise<number> => {
    const startedAt = performance.now();
    const met = Promise.withResolvers<number>();
    const isAlone = i % 2 === 0;
    const { stub, tookMs } = await join(
      record,
      token !== undefined && i % 4 > 1 ? neighbourOf(i) : addressOf(100 + (i % 400)),
      makeJoiningPeer(),
      isAlone ? 'n'.repeat(43) : KNOWN_ROOM,
      (frame) => {
        if (frame['action'] === 'signal' && frame['data'] === REPLY)
          met.resolve(performance.now() - startedAt);
      },
      token,
    );
    if (!isAlone && Number.isFinite(tookMs)) {
      stub.say({ action: 'signal', room: KNOWN_ROOM, to: peers[0]?.id, data: HELLO });
      setTimeout(() => met.resolve(Number.POSITIVE_INFINITY), LIMIT_MS);
    } else met.resolve(tookMs);
    const result = await met.promise;
    stub.close();
    return result;
  };
  let newcomers = 0;
  setInterval(() => {
    if (!isCounting) return;
    const its = measurement;
    newcomersWaiting += 1;
    void visit(newcomers++).then((tookMs) => {
      if (its !== measurement) return;
      newcomersWaiting -= 1;
      joins.push(tookMs);
    });
  }, NEWCOMER_INTERVAL_MS);
  /** What was sent and begun in time counts also when it comes after that. */
  const everythingHasCome = async (): Promise<void> => {
    const endsAt = performance.now() + LIMIT_MS;
    while ((onTheirWay.size > 0 || newcomersWaiting > 0) && performance.now() < endsAt)
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  };
  process.on('message', (message) => {
    if (message === 'begin') {
      measurement += 1;
      latencies.length = joins.length = 0;
      onTheirWay.clear();
      sent = seenLeaving = newcomersWaiting = 0;
      refusals = {};
      isCounting = true;
      return;
    }
    isCounting = false;
    void everythingHasCome().then(() => {
      joins.push(...Array<number>(newcomersWaiting).fill(Number.POSITIVE_INFINITY));
      const report: HonestReport = {
        sent,
        received: sent - onTheirWay.size,
        p50Ms: quantile(latencies, 0.5),
        p99Ms: quantile(latencies, 0.99),
        joins: joins.length,
        joinP50Ms: quantile(joins, 0.5),
        joinMaxMs: quantile(joins, 1),
        lostSessions: stubs.filter(({ isClosed }) => isClosed).length,
        seenLeaving,
        refusals,
      };
      process.send?.(report);
    });
  });
  process.send?.({ peers: peers.map(({ id }) => id) });
}

function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return (
    sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.POSITIVE_INFINITY
  );
}

if (process.argv[1] === import.meta.filename && process.argv[2] !== undefined)
  await run(JSON.parse(process.argv[2]) as SignedRelayRecord, process.argv[3]);
