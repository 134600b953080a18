import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { mutations } from '@lumamesh/testkit';
import { parseClientMessage, parseRelayMessage } from './room-messages.ts';

const ROOM = 'r'.repeat(43);
const PEER = 'p'.repeat(22);

describe('frames from a browser', () => {
  it('are taken with unknown fields ignored', () => {
    assert.deepEqual(
      parseClientMessage(JSON.stringify({ action: 'join', room: ROOM, peer: PEER, later: true })),
      {
        ok: true,
        value: { action: 'join', room: ROOM, peer: PEER, presence: '' },
      },
    );
    assert.deepEqual(parseClientMessage('{"action":"nodes","limit":1000}'), {
      ok: true,
      value: { action: 'nodes', limit: 64, after: '' },
    });
    assert.deepEqual(parseClientMessage('{"action":"ping"}'), {
      ok: true,
      value: { action: 'ping' },
    });
  });

  it('are measured in bytes, not in characters', () => {
    const frame = JSON.stringify({ action: 'ping', pad: '\u20ac'.repeat(22_000) });
    assert.ok(frame.length < 65_536);
    assert.deepEqual(parseClientMessage(frame), {
      ok: false,
      fault: { code: 'FRAME_TOO_LARGE', message: 'a frame has at most 65536 bytes' },
    });
  });

  it('name the room in the error where there is one', () => {
    const result = parseClientMessage(
      JSON.stringify({ action: 'signal', room: ROOM, to: 'x', data: '' }),
    );
    assert.ok(!result.ok && result.fault.room === ROOM);
  });
});

describe('frames from a relay', () => {
  it('are taken apart, strange members left out', () => {
    const result = parseRelayMessage(
      JSON.stringify({
        action: 'joined',
        room: ROOM,
        members: [
          { peer: PEER, presence: 'x' },
          { peer: 'bad' },
          null,
          { peer: PEER, presence: '<script>' },
        ],
      }),
    );
    assert.deepEqual(result, {
      ok: true,
      value: { action: 'joined', room: ROOM, members: [{ peer: PEER, presence: 'x' }] },
    });
    assert.deepEqual(parseRelayMessage('{"action":"from-the-future"}'), {
      ok: false,
      drop: 'protocol.unknownAction',
    });
    for (const action of ['{"toString":1}', '7', 'null', '"constructor"', '"__proto__"'])
      assert.ok(!parseRelayMessage(`{"action":${action}}`).ok);
  });

  it('may have credentials for TURN, which are left out where they are malformed', () => {
    const joined = { action: 'joined', room: ROOM, members: [] };
    const turn = { username: 'u'.repeat(64), password: 'p'.repeat(64) };
    const parse = (value: unknown): unknown =>
      parseRelayMessage(JSON.stringify({ ...joined, turn: value }));
    assert.deepEqual(parse(turn), { ok: true, value: { ...joined, turn } });
    for (const bad of [
      null,
      'x',
      {},
      { ...turn, username: '' },
      { ...turn, password: 'p'.repeat(65) },
      { ...turn, username: 'a b' },
      { ...turn, password: 7 },
    ])
      assert.deepEqual(parse(bad), { ok: true, value: joined }, JSON.stringify(bad));
  });

  it('say of what went wrong what relays say, and nothing that pages find out themselves', () => {
    const errorOf = (code: unknown): unknown =>
      parseRelayMessage(JSON.stringify({ action: 'error', code, message: '', room: ROOM }));
    for (const code of ['ROOM_FULL', 'ROOM_NOT_SHARED', 'RELAY_CLOSING', 'TOO_MANY_ERRORS'])
      assert.deepEqual(errorOf(code), {
        ok: true,
        value: { action: 'error', code, message: '', room: ROOM },
      });
    const others = ['ROOM_KEY_MISMATCH', 'NEEDS_TURN', 'RELAY_FORGED', 'ROOM_FULL\n', '', 7];
    for (const code of [...others, 'x'.repeat(60_000)])
      assert.deepEqual(errorOf(code), { ok: false, drop: 'protocol.code' });
  });

  it('may say what they allow, which is left out where it is nothing', () => {
    const welcome = { action: 'welcome', version: 1, node: { nk: 'x' } };
    for (const limits of [null, 7, 'x', true])
      assert.deepEqual(parseRelayMessage(JSON.stringify({ ...welcome, limits })), {
        ok: true,
        value: welcome,
      });
  });

  it('of any mutation throw nothing', () => {
    const frames = [
      { action: 'welcome', version: 1, node: { nk: 'x' }, limits: {} },
      { action: 'joined', room: ROOM, members: [{ peer: PEER, presence: '' }] },
      { action: 'joined', room: ROOM, members: [], turn: { username: 'u', password: 'p' } },
      { action: 'peer-joined', room: ROOM, peer: PEER, presence: '' },
      { action: 'peer-left', room: ROOM, peer: PEER },
      { action: 'signal', room: ROOM, from: PEER, data: 'abc' },
      { action: 'nodes', nodes: [] },
      { action: 'pong' },
      { action: 'error', code: 'ROOM_FULL', message: 'y' },
    ];
    for (const [i, frame] of frames.entries()) {
      assert.ok(parseRelayMessage(JSON.stringify(frame)).ok, frame.action);
      for (const mutated of mutations(new TextEncoder().encode(JSON.stringify(frame)), 500, i)) {
        const text = new TextDecoder().decode(mutated);
        parseRelayMessage(text);
        parseClientMessage(text);
      }
    }
  });
});
