import { type ConnectOptions, type Net, type Room, connect } from 'lumamesh';
import { log, note } from './log.ts';

/* An honest page beside a hostile member: it notes what reaches it, and how long it was held up. */
const BEAT_MS = 50;

let net: Net | null = null;
let room: Room | null = null;
let longestMs = 0;
let lastBeat = performance.now();
const errors: string[] = [];

addEventListener('error', ({ message }) => errors.push(message));
addEventListener('unhandledrejection', ({ reason }) => errors.push(String(reason)));
setInterval(() => {
  const now = performance.now();
  longestMs = Math.max(longestMs, now - lastBeat - BEAT_MS);
  lastBeat = now;
}, BEAT_MS);

/** @returns the page's own id in the room */
async function join(options: ConnectOptions, name: string, nick: string): Promise<string> {
  const ready = Promise.withResolvers<string>();
  net = connect(options);
  net.on('error', (error) => note('net error', error.code));
  room = net.joinRoom(name, { nick, presence: { status: 'here' } });
  room.on('ready', (selfId) => ready.resolve(selfId));
  room.on('joined', (peers) => note('joined', peers));
  room.on('error', (error) => note('error', error.code));
  room.on('leave', (peer, reason) => note('leave', `${peer.nick} ${reason}`));
  room.on('peer', (peer) => {
    peer.on('open', () => note('open', peer.nick));
    // As a page would: what arrives is looked at, and shown.
    peer.on('data', (value) => note('data', typeof value));
    peer.on('presence', (value) => note('presence', JSON.stringify(value)?.slice(0, 100)));
    peer.on('stream', (stream) => note('stream', stream.id));
    peer.on('file', (file) => {
      note('file', [file.name, file.size, file.type]);
      void file.accept().catch((error: unknown) => note('file failed', String(error)));
    });
  });
  room.answer('echo', (value) => value);
  const [, onSay] = room.action('say');
  onSay((value) => note('say', typeof value === 'string' ? value.slice(0, 100) : typeof value));
  return ready.promise;
}

/** Asks an honest peer for an echo; how long that took in ms, or why it did not come. */
async function echo(nick: string, timeoutMs: number): Promise<number | string> {
  const peer = room?.peers.find((candidate) => candidate.nick === nick && candidate.isOpen);
  if (peer === undefined) return `no open ${nick}`;
  const startedAt = performance.now();
  try {
    await peer.request('echo', startedAt, { timeoutMs });
    return performance.now() - startedAt;
  } catch (error) {
    return String(error);
  }
}

/** What went wrong, and for how long at most the page did nothing since this was asked last. */
function health(): { errors: readonly string[]; longestMs: number; isPolluted: boolean } {
  const result = {
    errors: [...errors],
    longestMs,
    isPolluted: 'polluted' in {} || 'polluted' in Array.prototype,
  };
  longestMs = 0;
  return result;
}

Object.assign(globalThis, {
  harness: {
    join,
    echo,
    health,
    log: () => log,
    leave: () => room?.leave(),
    close: () => net?.close(),
  },
});
