import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  type SessionPair,
  connectedPair,
  mutations,
  overlong,
  truncations,
} from '@lumamesh/testkit';
import { type ChannelProperties, decodeDcep, encodeDcepOpen } from './dcep.ts';

const PROPERTIES: ChannelProperties[] = [
  { label: 'chat', subprotocol: '', isUnordered: false },
  { label: 'grüße', subprotocol: 'json', isUnordered: true },
  { label: '', subprotocol: '', isUnordered: true, maxRetransmits: 0 },
  { label: 'game', subprotocol: '', isUnordered: false, maxRetransmits: 5 },
  { label: 'voice', subprotocol: '', isUnordered: true, maxLifetimeMs: 250 },
];

describe('DCEP', () => {
  it('round-trips every kind of channel, cut, over-long, mutated', () => {
    for (const properties of PROPERTIES) {
      const bytes = encodeDcepOpen(properties);
      assert.deepEqual(decodeDcep(bytes), { ok: true, value: { type: 'open', properties } });
      for (const cut of truncations(bytes)) assert.ok(!decodeDcep(cut).ok);
      assert.ok(!decodeDcep(overlong(bytes)).ok);
      for (const mutated of mutations(bytes, 1000, 6)) decodeDcep(mutated);
    }
    assert.deepEqual(decodeDcep(Uint8Array.of(2)), { ok: true, value: { type: 'ack' } });
    assert.ok(!decodeDcep(Uint8Array.of(9)).ok);
  });
});

function opened(pair: SessionPair, properties: ChannelProperties): number {
  const id = pair.client.session.openChannel(pair.net.now, properties);
  assert.ok(id !== null);
  pair.net.touch(pair.client);
  assert.ok(
    pair.net.runUntil(
      () =>
        pair.client.events.some(
          ({ event }) => event.type === 'channelOpen' && event.channelId === id,
        ),
      2000,
    ),
  );
  return id;
}

describe('data channels', () => {
  it('open by DCEP with their properties on both sides, the client on even ids', () => {
    const pair = connectedPair();
    for (const properties of PROPERTIES) {
      const id = opened(pair, properties);
      assert.equal(id % 2, 0);
      const atServer = pair.server.events.find(
        ({ event }) => event.type === 'channelOpen' && event.channelId === id,
      );
      assert.ok(atServer?.event.type === 'channelOpen');
      assert.deepEqual(atServer.event.properties, properties);
    }
  });

  it('take messages at once, ordered behind the OPEN, and carry text, binary and empty ones', () => {
    const pair = connectedPair();
    const id = pair.client.session.openChannel(pair.net.now, {
      label: 'x',
      subprotocol: '',
      isUnordered: true,
    });
    assert.ok(id !== null);
    const values = ['text', '', new Uint8Array(0), Uint8Array.of(0, 255), '\u{1F30D}'];
    for (const value of values) assert.ok(pair.client.session.send(pair.net.now, id, value));
    pair.net.touch(pair.client);
    pair.net.run(1000);
    assert.deepEqual(pair.server.messages(), values);
  });

  it('close: what was sent arrives, both sides hear of it, and the id is free again', () => {
    const pair = connectedPair();
    const id = opened(pair, { label: 'short', subprotocol: '', isUnordered: false });
    pair.client.session.send(pair.net.now, id, 'farewell '.repeat(1000));
    pair.client.session.closeChannel(pair.net.now, id);
    assert.ok(!pair.client.session.send(pair.net.now, id, 'too late'));
    pair.net.touch(pair.client);
    const isClosed = (events: readonly { readonly event: { readonly type: string } }[]): boolean =>
      events.some(({ event }) => event.type === 'channelClosed');
    assert.ok(
      pair.net.runUntil(() => isClosed(pair.client.events) && isClosed(pair.server.events), 5000),
    );
    assert.equal(pair.server.messages().length, 1);
    pair.client.session.send(pair.net.now, 0, 'the others live on');
    pair.net.touch(pair.client);
    pair.net.run(500);
    assert.equal(pair.server.messages().at(-1), 'the others live on');
  });

  it('tell when what waits falls to the threshold', () => {
    const pair = connectedPair();
    const { session } = pair.client;
    session.setBufferedAmountLowThreshold(0, 10_000);
    session.send(pair.net.now, 0, new Uint8Array(60_000));
    assert.equal(session.bufferedAmount(0), 60_000);
    pair.net.touch(pair.client);
    assert.ok(pair.net.runUntil(() => pair.client.has('bufferedAmountLow'), 5000));
    assert.ok(session.bufferedAmount(0) <= 10_000);
    pair.net.run(5000);
    assert.equal(
      pair.client.events.filter(({ event }) => event.type === 'bufferedAmountLow').length,
      1,
    );
  });

  it('are bounded in number', () => {
    const pair = connectedPair();
    const ids: (number | null)[] = [];
    for (let i = 0; i < 40; i++)
      ids.push(
        pair.client.session.openChannel(pair.net.now, {
          label: `${i}`,
          subprotocol: '',
          isUnordered: false,
        }),
      );
    assert.equal(ids.filter((id) => id !== null).length, 15, 'sixteen with the negotiated one');
  });

  it('answer a DCEP OPEN for the channel that both know already', () => {
    const pair = connectedPair({ client: { negotiatedChannels: [] } });
    const id = opened(pair, { label: 'lumamesh', subprotocol: '', isUnordered: false });
    assert.equal(id, 0);
    pair.client.session.send(pair.net.now, id, 'one channel');
    pair.net.touch(pair.client);
    pair.net.run(500);
    assert.deepEqual(pair.server.messages(), ['one channel']);
    assert.equal(pair.server.events.filter(({ event }) => event.type === 'channelOpen').length, 1);
  });
});
