import assert from 'node:assert/strict';
import { it } from 'node:test';
import { until } from '@lumamesh/testkit';
import type { ChannelMember } from 'lumamesh';
import { type LumameshRelayConfig, joinRoom } from './index.ts';

/** A channel whose members the test plays. */
class PlayedChannel {
  readonly listeners = new Map<string, (...values: readonly unknown[]) => void>();
  readonly members: readonly ChannelMember[] = [];
  readonly presence = null;

  on(event: string, listener: (...values: readonly unknown[]) => void): () => void {
    this.listeners.set(event, listener);
    return () => undefined;
  }

  say(event: string, ...values: readonly unknown[]): void {
    this.listeners.get(event)?.(...values);
  }

  setPresence(): void {}

  leave(): void {}
}

/** A connection that takes nothing of what it is told, and looks for no way. */
class Unconnected extends EventTarget {
  readonly connectionState = 'new';
  readonly iceConnectionState = 'new';
  readonly iceGatheringState = 'complete';
  readonly signalingState = 'stable';
  localDescription: object | null = null;

  createDataChannel(): EventTarget {
    return Object.assign(new EventTarget(), { close: () => undefined });
  }

  async setLocalDescription(): Promise<void> {
    this.localDescription = { type: 'offer', sdp: 'v=0' };
  }

  async setRemoteDescription(): Promise<void> {
    throw new TypeError('no description');
  }

  async addIceCandidate(): Promise<void> {
    throw new TypeError('no candidate');
  }

  close(): void {}
}

it('rejects nothing that nobody hears, whatever a member calls itself or signals', async () => {
  const rejections: unknown[] = [];
  const note = (error: unknown): void => void rejections.push(error);
  process.on('unhandledRejection', note);
  const channel = new PlayedChannel();
  const net = { channel: () => channel, iceServers: [], on: () => () => undefined };
  const room = joinRoom(
    {
      appId: 'lumamesh-test',
      // All of a net that is used.
      relayConfig: { net: net as unknown as NonNullable<LumameshRelayConfig['net']> },
      rtcPolyfill: Unconnected as unknown as typeof RTCPeerConnection,
    },
    'tea',
  );
  await until(() => channel.listeners.has('signal'), 'the channel is not joined');
  for (const peerId of ['__proto__', 'constructor', 'toString', 'somebody']) {
    const member = { id: 'mallory', presence: { peerId }, signal: async () => true };
    channel.say('joined', member);
    channel.say('presence', member);
    for (const signal of [
      { offer: 'x' },
      { candidate: 'x', offerId: '__proto__' },
      { answer: 'x', peer: {} },
      { offer: 'x', peer: 7, hasOutgoingOffer: true },
    ])
      channel.say('signal', JSON.stringify({ peerId, ...signal }), member);
  }
  for (const value of ['{', '7', '[]', 'null', '{"peerId":{}}'])
    channel.say('signal', value, { id: 'mallory', presence: null, signal: async () => true });
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.deepEqual(rejections, []);
  assert.deepEqual(Object.keys(Object.prototype), []);
  process.off('unhandledRejection', note);
  await room.leave();
});
