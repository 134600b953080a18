import type { LumameshError } from 'lumamesh';
import { type Net, type Peer, connect } from 'lumamesh';
import { hueOf, makeNick } from './nick.ts';
import { addCursor, moveCursor, removeCursor } from './cursors.ts';
import { addNote, addMessage, setBadge, setHint, setStep, showPeople } from './view.ts';

/** The demo server writes its relay's record into this module. */
declare const RELAY_RECORD: string;

/** Cursor positions per second at the most. */
const CURSOR_RATE = 60;

interface Cursor {
  readonly kind: 'cursor';
  readonly x: number;
  readonly y: number;
}

function main(): void {
  const startedAt = performance.now();
  const since = (from: number): string => `${Math.round(performance.now() - from)} ms`;
  const roomName = decodeURIComponent(location.hash.slice(1)) || 'lobby';
  const nick = makeNick();
  setStep('relay', 'busy', 'dialling over UDP, without signaling');

  const net: Net = connect({ relays: RELAY_RECORD });
  const room = net.joinRoom(roomName, { nick });
  const opened = new Set<string>();
  const refresh = (): void =>
    showPeople(
      nick,
      room.peers.map((peer) => ({ id: peer.id, nick: peer.nick, isOpen: opened.has(peer.id) })),
      roomName,
    );
  refresh();

  net.on('status', (status) => {
    setBadge(status.state);
    const relay = status.relays.find((candidate) => candidate.state === 'open');
    if (relay === undefined) return;
    setHint(null);
    setStep('relay', 'done', `reached ${relay.address} in ${Math.round(relay.connectMs)} ms`);
    setStep('room', 'busy', 'joining under a name that the relay cannot read');
  });
  net.on('error', (error) => {
    setStep('relay', 'failed', 'no response yet; retrying');
    setHint(explain(error));
  });
  room.on('error', (error) => setHint(explain(error)));
  room.on('joined', (peers) => {
    setStep('room', 'done', `joined “${roomName}” after ${since(startedAt)}`);
    if (peers === 0) setStep('peer', 'busy', 'nobody else yet: open this page in a second window');
  });
  room.on('peer', (peer) => {
    const metAt = performance.now();
    setStep('peer', 'done', `found ${peer.nick}`);
    setStep('direct', 'busy', 'exchanging sealed offers through the relay');
    refresh();
    peer.on('open', () => {
      opened.add(peer.id);
      setStep(
        'direct',
        'done',
        `with ${peer.nick} in ${since(metAt)}; the relay is no longer involved`,
      );
      addNote(`${peer.nick} is here, directly.`);
      addCursor(peer.id, peer.nick, hueOf(peer.id));
      refresh();
    });
    peer.on('data', (value) => receive(peer, value));
  });
  room.on('leave', (peer) => {
    if (opened.delete(peer.id)) addNote(`${peer.nick} left.`);
    removeCursor(peer.id);
    if (room.peers.length === 0) {
      setStep('peer', 'busy', 'nobody else here now');
      setStep('direct', 'idle', 'browser to browser, without the relay');
    }
    refresh();
  });
  sendWhatIsTyped(nick, (text) => void room.broadcast({ kind: 'chat', text }));
  sendPointer((cursor) => {
    for (const peer of room.peers)
      if (opened.has(peer.id)) void peer.send(cursor, { reliable: false });
  });
}

function receive(peer: Peer, value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  const { kind, text, x, y } = value as Record<string, unknown>;
  if (kind === 'chat' && typeof text === 'string')
    addMessage(peer.nick, hueOf(peer.id), text.slice(0, 2000));
  else if (kind === 'cursor' && typeof x === 'number' && typeof y === 'number')
    moveCursor(peer.id, x, y);
}

function sendWhatIsTyped(nick: string, send: (text: string) => void): void {
  const form = document.querySelector('form');
  const input = document.querySelector('input');
  form?.addEventListener('submit', (event) => {
    event.preventDefault();
    const text = input?.value.trim() ?? '';
    if (input === null || text === '') return;
    send(text);
    addMessage(`${nick} (you)`, 45, text);
    input.value = '';
  });
}

/** Positions are fractions of the window, so that windows of different sizes agree. */
function sendPointer(send: (cursor: Cursor) => void): void {
  let lastSentAt = 0;
  addEventListener('pointermove', (event) => {
    if (event.timeStamp - lastSentAt < 1000 / CURSOR_RATE) return;
    lastSentAt = event.timeStamp;
    send({ kind: 'cursor', x: event.clientX / innerWidth, y: event.clientY / innerHeight });
  });
}

function explain(error: LumameshError): string {
  const isFirefox = navigator.userAgent.includes('Firefox');
  if (error.code === 'RELAYS_UNREACHABLE' && isFirefox && error.message.includes('127.0.0.1'))
    return 'Firefox never dials 127.0.0.1. Connect this machine to a network and start the demo again, or use Chromium.';
  return `${error.message} [${error.code}]`;
}

main();
