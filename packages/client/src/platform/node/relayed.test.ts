import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as webrtc from 'node-datachannel/polyfill';
import { until } from '@lumamesh/testkit';
import { type Net, type Room, connect } from './index.ts';
import { useRelayProcess } from './relay-process.test-support.ts';

/*
 * Node programs that find no path to each other but by a relay that relays. node-datachannel keeps
 * the servers that it was made with, and has no ICE restart: the library begins anew.
 */

const LIMIT_MS = 40_000;
const scene = useRelayProcess({ TURN_RATE: '10000000' });

type PeerConnectionClass = new (configuration?: RTCConfiguration) => RTCPeerConnection;
const given = webrtc.RTCPeerConnection as unknown as PeerConnectionClass;

const isRelayed = (line: string): boolean => line.includes(' typ relay');

/** Hears of no addresses but those of relays. */
class Unreachable extends given {
  override async addIceCandidate(candidate: RTCIceCandidateInit): Promise<void> {
    if (isRelayed(candidate.candidate ?? '')) await super.addIceCandidate(candidate);
  }

  override async setRemoteDescription(description: RTCSessionDescriptionInit): Promise<void> {
    const lines = (description.sdp ?? '').split('\r\n');
    const sdp = lines.filter((line) => !line.startsWith('a=candidate') || isRelayed(line));
    await super.setRemoteDescription({ ...description, sdp: sdp.join('\r\n') });
  }
}

function join(nick: string): { readonly net: Net; readonly room: Room } {
  const net = connect({ relays: [scene.line], webrtc: { RTCPeerConnection: Unreachable } });
  scene.nets.push(net);
  return { net, room: net.joinRoom('relayed', { nick }) };
}

describe('two Node programs without a direct path', { timeout: 120_000 }, () => {
  it('are relayed by the relay that they met at', async () => {
    const [ada, bob] = [join('Ada'), join('Bob')];
    const heard: unknown[] = [];
    bob.room.on('peer', (peer) => peer.on('data', (value) => heard.push(value)));
    const isOpen = ({ room }: { readonly room: Room }): boolean => room.peers[0]?.isOpen ?? false;
    await until(() => isOpen(ada) && isOpen(bob), 'they do not meet', LIMIT_MS);
    await until(() => ada.room.peers[0]?.path === 'relayed', 'it is not relayed', LIMIT_MS);
    const text = 'x'.repeat(50_000);
    assert.equal(await ada.room.peers[0]?.send(text), true);
    assert.deepEqual(heard, [text]);
  });
});
