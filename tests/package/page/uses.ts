import { type Net, type Peer, type PeerState, type Room, LumameshError, connect } from 'lumamesh';
import { type Feature, LumameshError as CoreError, connect as connectCore } from 'lumamesh/core';
import { allFeatures, files, media, requests } from 'lumamesh/features';
import { createIdentity, loadIdentity } from 'lumamesh/identity';
import { openRelayList } from 'lumamesh/relay-list';
import { useAction, useNet, useNetStatus, usePeers, usePresence, useRoom } from 'lumamesh/react';

/* eslint-disable no-console, typescript/no-misused-promises -- as authors write it, who have no such lint. */
/* What page authors write: compiled against the package by package.test.ts, and against the sources. */

export const net: Net = connect({
  relays: ['luma1.x'],
  discover: false,
  iceServers: [{ urls: 'stun:192.0.2.1' }],
  storage: null,
  signal: new AbortController().signal,
});
net.on('status', ({ state, text, code }) => console.log(state.length, text.length, code ?? ''));
net.on('error', (error) => console.log(error.code, error instanceof LumameshError));

export const room: Room = net.joinRoom('tea', { nick: 'Ada', password: 'sesame', maxPeers: 4 });
const [sendMove, onMove] = room.action<{ x: number }>('move');
onMove(({ x }, peer) => console.log(x.toFixed(), peer.nick));
room.answer('add', (value) => value);
room.on('leave', (peer, reason) => console.log(peer.nick, reason));
room.on('peer', async (peer: Peer) => {
  peer.on('data', (value: unknown) => console.log(value));
  peer.on('stream', (stream: MediaStream, _metadata, id) => console.log(stream.id, id.length));
  peer.on('track', (track, _stream, { isMuted }) => console.log(track.kind, isMuted));
  const id: string = peer.addStream(new MediaStream(), { of: 1 }, { video: { codecs: ['VP9'] } });
  peer.removeStream(id);
  console.log(peer.streams.map(({ stream, tracks }) => [stream.id, tracks.length]));
  peer.on('file', async (file) => {
    const blob: Blob = await file.accept({ onProgress: (received, total) => received / total });
    console.log(file.name, file.size, blob.size);
  });
  const state: PeerState = peer.state;
  await peer.send({ state }, { reliable: false });
  await peer.sendFile(new File([], 'a.txt'));
  const sum: unknown = await peer.request('add', [1, 2], { timeoutMs: 100 });
  console.log(sum, await peer.rtt(), peer.rttMs, peer.isDirect);
  await sendMove({ x: 1 }, { to: peer });
});

/** What one entry gives, another takes. */
export const picked = connectCore({
  relays: [],
  features: [requests(), files(), media()],
});
picked.joinRoom('tea').on('peer', async (peer) => {
  const answer: unknown = await peer.request('add', 1);
  await peer.sendFile(new File([String(answer)], 'a.txt'));
});
export const everything: readonly Feature[] = allFeatures();
export const own = { name: 'own' } as const satisfies Feature;
export const error: LumameshError = new CoreError('CODE', 'text');

export async function withIdentity(): Promise<Net> {
  const identity = await loadIdentity();
  await createIdentity();
  return connect({ relays: [], identity });
}

export async function byList(list: string): Promise<Net> {
  return connect({ relays: await openRelayList(list, ['A'.repeat(43)]) });
}

export function App(): number {
  const mine = useNet({ relays: [] });
  const status = useNetStatus(net);
  const view = useRoom(mine ?? net, 'tea', { nick: 'Ada' });
  const [others] = usePresence<{ isTyping: boolean }>(room, { isTyping: true });
  const say = useAction<string>(view.room, 'say', (line, peer) => console.log(line, peer.nick));
  void say('hello');
  return usePeers(view.room, { onlyOpen: true }).length + others.size + (status?.text.length ?? 0);
}
