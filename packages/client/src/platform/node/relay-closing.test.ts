import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import * as webrtc from 'node-datachannel/polyfill';
import { patience, until } from '@lumamesh/testkit';
import { type Net, connect } from './index.ts';
import { type RunningRelay, startRelayProcess } from './relay-process.test-support.ts';

describe('a relay that stops', () => {
  const nets: Net[] = [];
  const relays: RunningRelay[] = [];
  after(async () => {
    for (const net of nets) net.close();
    for (const relay of relays) await relay.close();
  });

  it('is left at once for another: it need not wait, and rooms go on', async (t) => {
    relays.push(await startRelayProcess(), await startRelayProcess());
    const net = connect({ relays: relays.map(({ line }) => line), webrtc });
    nets.push(net);
    const openRelays = (): number =>
      net.status.relays.filter(({ state }) => state === 'open').length;
    const status = (): string => JSON.stringify(net.status);
    const room = net.joinRoom('tea');
    await until(() => openRelays() === 2 && room.state === 'joined', status);
    const startedAt = performance.now();
    const closed = relays[0]?.close();
    await until(() => openRelays() === 1, status);
    const leftAfterMs = performance.now() - startedAt;
    await closed;
    const closedAfterMs = performance.now() - startedAt;
    t.diagnostic(
      `left after ${Math.round(leftAfterMs)} ms, ended after ${Math.round(closedAfterMs)} ms`,
    );
    assert.ok(closedAfterMs < patience(2500), `the relay waited ${closedAfterMs} ms`);
    assert.deepEqual([net.status.state, room.state], ['online', 'joined']);
  });
});
