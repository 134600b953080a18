import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import { patience, until, withRelays } from '@lumamesh/testkit';
import { RoomClient, isComplete } from './support.ts';

const PEERS_OF = {
  line: (i: number) => (i === 0 ? [] : [i - 1]),
  ring: (i: number, count: number) => [(i + 1) % count],
  star: (i: number) => (i === 0 ? [] : [0]),
} as const;

/** How relays are told of each other at first. */
export const SHAPES = ['line', 'ring', 'star'] as const;

/** On an idle machine a relay costs about this much until all know it: they are many on two cores. */
const LIMIT_MS_PER_RELAY = 25_000;

/** All relays that a fresh browser learns from one, page by page. */
async function nodesOf(record: SignedRelayRecord): Promise<ReadonlySet<string>> {
  const client = await RoomClient.connect(record);
  const seen = new Set<string>();
  let after: string | undefined = '';
  while (after !== undefined) {
    const before = client.heard.length;
    client.send({ action: 'nodes', limit: 8, after });
    await until(() => client.heard.length > before, 'no nodes');
    const answer = client.heard[before];
    assert.ok(answer?.action === 'nodes');
    for (const node of answer.nodes) seen.add((node as SignedRelayRecord).nk);
    after = answer.next;
  }
  await client.close();
  return seen;
}

/** A test: relays that know each other in this shape come to know all. */
export function itIsComplete(count: number, shape: (typeof SHAPES)[number]): void {
  void it(
    `${count} in a ${shape}: every relay, and a fresh client of one, knows all`,
    { timeout: patience(2 * LIMIT_MS_PER_RELAY * Math.max(12, count)) },
    (t) =>
      withRelays(async (start) => {
        const relays = Array.from({ length: count }, (_, i) => start(i, PEERS_OF[shape](i, count)));
        await Promise.all(relays.map((relay) => relay.ready()));
        const took = await until(
          () => isComplete(relays),
          'they do not all know each other',
          Math.max(60_000, count * LIMIT_MS_PER_RELAY),
        );
        t.diagnostic(`all known ${Math.round(took)} ms after the last of ${count} was up`);
        const [first] = relays;
        assert.ok(first !== undefined);
        assert.deepEqual((await nodesOf(first.record)).size, count);
      }),
  );
}
