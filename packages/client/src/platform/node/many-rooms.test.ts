import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { pause, until } from '@lumamesh/testkit';
import { type Net, connect } from './index.ts';
import { useRelayProcess } from './relay-process.test-support.ts';

/* A page with many rooms, and a real relay with its limits. */

const scene = useRelayProcess();

function open(): { readonly net: Net; readonly errors: string[] } {
  const net = connect({ relays: [scene.line] });
  scene.nets.push(net);
  const errors: string[] = [];
  net.on('error', ({ code }) => errors.push(code));
  net.on('status', ({ state }) => {
    if (state === 'offline') errors.push('offline');
  });
  return { net, errors };
}

describe('a page with many rooms', { timeout: 120_000 }, () => {
  it('is in forty at once', async () => {
    const { net, errors } = open();
    const rooms = Array.from({ length: 40 }, (_, i) => net.joinRoom(`of forty ${i}`));
    for (const room of rooms) room.on('error', ({ code }) => errors.push(code));
    await until(() => rooms.every(({ state }) => state === 'joined'), 'all are joined');
    assert.deepEqual(errors, []);
  });

  it('hears of rooms that there is no place for, and is in them when others are left', async () => {
    const { net, errors } = open();
    const rooms = Array.from({ length: 50 }, (_, i) => net.joinRoom(`of fifty ${i}`));
    for (const room of rooms) room.on('error', ({ code }) => errors.push(`${code} ${room.name}`));
    const joined = (): number => rooms.filter(({ state }) => state === 'joined').length;
    await until(() => joined() === 48, '48 are joined');
    // Their ids may be derived in another order.
    const expected = ['TOO_MANY_ROOMS of fifty 48', 'TOO_MANY_ROOMS of fifty 49'];
    assert.deepEqual(errors.toSorted(), expected);
    await pause(1500);
    assert.equal(joined(), 48);
    for (const room of rooms.slice(0, 2)) room.leave();
    await until(() => rooms[48]?.state === 'joined', 'the first that waited is joined');
    await until(() => rooms[49]?.state === 'joined', 'and the second');
    assert.equal(errors.length, 2);
  });

  it('changes rooms 120 times in six seconds, ends in the last one, and is never hung up on', async () => {
    const { net, errors } = open();
    await until(() => net.status.state === 'online', 'the relay is reached');
    let room = net.joinRoom('first');
    for (let i = 0; i < 120; i++) {
      room.leave();
      room = net.joinRoom(`switch ${i}`);
      room.on('error', ({ code }) => errors.push(code));
      await pause(50);
    }
    await until(() => room.state === 'joined', 'the last room is joined');
    // What the relay had to say about it would be here by now.
    await pause(1500);
    assert.deepEqual(errors, []);
    assert.equal(net.status.state, 'online');
    assert.equal(net.status.relays[0]?.error, null);
  });
});
