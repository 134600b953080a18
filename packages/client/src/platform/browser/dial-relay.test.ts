import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it, mock } from 'node:test';
import type { KnownRelay } from '../../net/relay-source.ts';
import { dialRelay } from './dial-relay.ts';

/*
 * Which of the ways to a relay becomes the channel. Browsers take part in tests/nat; here their
 * connections are played, so that every order of events can be had.
 */
const RELAY: KnownRelay = {
  fingerprint: Array.from({ length: 32 }, () => 'AB').join(':'),
  ip: '203.0.113.1',
  port: 3478,
  tcpPort: 443,
  ufrag: 'luma',
  pwd: 'x'.repeat(22),
  nk: 'k'.repeat(43),
  sequence: 1,
  expires: 2,
};
const TCP_AFTER_MS = 1500;

class PlayedChannel extends EventTarget {
  readyState = 'connecting';
  readonly sent: string[] = [];

  send(text: string): void {
    this.sent.push(text);
  }
}

class PlayedConnection extends EventTarget {
  static all: PlayedConnection[] = [];
  readonly channel = new PlayedChannel();
  readonly localDescription = { sdp: 'a=mid:0\r\n' };
  iceConnectionState = 'new';
  connectionState = 'new';
  iceGatheringState = 'new';
  isClosed = false;
  answer = '';

  constructor() {
    super();
    PlayedConnection.all.push(this);
  }

  createDataChannel(): PlayedChannel {
    return this.channel;
  }

  async createOffer(): Promise<object> {
    return {};
  }

  async setLocalDescription(): Promise<void> {
    await Promise.resolve();
  }

  async setRemoteDescription({ sdp }: { readonly sdp: string }): Promise<void> {
    this.answer = sdp;
  }

  async getStats(): Promise<ReadonlyMap<string, object>> {
    return new Map();
  }

  close(): void {
    this.isClosed = true;
  }

  open(): void {
    this.channel.readyState = 'open';
    this.channel.dispatchEvent(new Event('open'));
  }

  hear(data: string): void {
    this.channel.dispatchEvent(new MessageEvent('message', { data }));
  }

  async fail(): Promise<void> {
    // Something was gathered, and nobody answered.
    this.dispatchEvent(
      Object.assign(new Event('icecandidate'), { candidate: { candidate: 'candidate:1' } }),
    );
    this.iceConnectionState = this.connectionState = 'failed';
    this.dispatchEvent(new Event('connectionstatechange'));
    await rest();
  }

  get isTcp(): boolean {
    return / tcp \d+ 203\.0\.113\.1 443 /.test(this.answer);
  }
}

/** What is under way comes to rest: no step waits for more than microtasks. */
async function rest(): Promise<void> {
  for (let i = 0; i < 50; i++) await Promise.resolve();
}

async function dial(relay: KnownRelay = RELAY) {
  const told: string[] = [];
  const channel = dialRelay(
    relay,
    [relay.ip],
    {
      open: (isTcp) => told.push(isTcp ? 'open tcp' : 'open udp'),
      frame: (text) => told.push(text),
      closed: (code) => told.push(code),
    },
    TCP_AFTER_MS,
  );
  await rest();
  return { told, channel };
}

const wait = async (ms: number): Promise<void> => {
  mock.timers.tick(ms);
  await rest();
};

describe('a browser on its way to a relay', () => {
  const original = globalThis.RTCPeerConnection;
  beforeEach(() => {
    PlayedConnection.all = [];
    Object.assign(globalThis, { RTCPeerConnection: PlayedConnection });
    Object.defineProperty(navigator, 'onLine', { value: true, configurable: true });
    mock.timers.enable({ apis: ['setTimeout'] });
  });
  afterEach(() => {
    mock.timers.reset();
    Object.assign(globalThis, { RTCPeerConnection: original });
    Reflect.deleteProperty(navigator, 'onLine');
  });

  it('goes by UDP, and opens no second connection where that is answered in time', async () => {
    const { told } = await dial();
    const [udp] = PlayedConnection.all;
    assert.ok(udp !== undefined && !udp.isTcp);
    udp.iceConnectionState = 'connected';
    await wait(TCP_AFTER_MS);
    udp.open();
    await wait(10 * TCP_AFTER_MS);
    assert.deepEqual(told, ['open udp']);
    assert.equal(PlayedConnection.all.length, 1);
  });

  it('tries TCP where UDP finds nobody, takes what opens first, and hears nothing of the other', async () => {
    const { told, channel } = await dial();
    await wait(TCP_AFTER_MS - 1);
    assert.equal(PlayedConnection.all.length, 1);
    await wait(1);
    const [udp, tcp] = PlayedConnection.all;
    assert.ok(udp !== undefined && tcp?.isTcp);
    tcp.hear('welcome');
    udp.hear('late');
    assert.ok(udp.isClosed);
    tcp.open();
    udp.open();
    assert.deepEqual(told, ['welcome', 'open tcp']);
    assert.ok(channel.send('join'));
    assert.deepEqual([udp.channel.sent, tcp.channel.sent], [[], ['join']]);
    tcp.channel.dispatchEvent(new Event('close'));
    assert.deepEqual(told.slice(2), ['RELAY_LOST']);
  });

  it('stays with UDP where that comes late, yet first', async () => {
    const { told } = await dial();
    await wait(TCP_AFTER_MS);
    const [udp, tcp] = PlayedConnection.all;
    udp?.open();
    assert.ok(tcp?.isClosed);
    assert.deepEqual(told, ['open udp']);
  });

  it('tries TCP at once where UDP has failed, and tells of the first failure when both have', async () => {
    const { told } = await dial();
    await PlayedConnection.all[0]?.fail();
    const tcp = PlayedConnection.all[1];
    assert.ok(tcp?.isTcp);
    await tcp.fail();
    assert.deepEqual(told, ['RELAY_UNREACHABLE']);
    await wait(10 * TCP_AFTER_MS);
    assert.equal(PlayedConnection.all.length, 2);
  });

  it('that may not use UDP at all goes by TCP, and is told so only where that fails, too', async () => {
    const { told } = await dial();
    const [udp] = PlayedConnection.all;
    assert.ok(udp !== undefined);
    udp.iceGatheringState = 'complete';
    udp.dispatchEvent(new Event('icegatheringstatechange'));
    await rest();
    const tcp = PlayedConnection.all[1];
    assert.deepEqual(told, []);
    await tcp?.fail();
    assert.deepEqual(told, ['WEBRTC_BLOCKED_BY_POLICY']);
  });

  it('has one way to a relay without a TCP port, and none once it was given up', async () => {
    const { tcpPort: _, ...udpOnly } = RELAY;
    await dial(udpOnly);
    await wait(TCP_AFTER_MS);
    assert.equal(PlayedConnection.all.length, 1);
    const { channel, told } = await dial();
    channel.close();
    await wait(TCP_AFTER_MS);
    assert.equal(PlayedConnection.all.length, 2);
    assert.ok(PlayedConnection.all[1]?.isClosed);
    assert.deepEqual(told, []);
  });
});
