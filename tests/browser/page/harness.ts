import {
  type LumameshError,
  type Net,
  type Peer,
  type RelaySource,
  type Room,
  connect,
} from 'lumamesh';
import { midOf, relayAnswer } from '@lumamesh/protocol';
import { log, note } from './log.ts';

/* What the browser tests drive inside the page. Results go back as JSON. */

interface RawRelay {
  readonly fingerprint: string;
  readonly ip: string;
  readonly port: number;
  readonly ufrag: string;
  readonly pwd: string;
}

/** Opens a channel to a relay by hand, with the answer of the protocol package and nothing else of ours. */
async function openRaw(
  relay: RawRelay,
  isNegotiated: boolean,
): Promise<{ readonly connection: RTCPeerConnection; readonly channel: RTCDataChannel }> {
  const connection = new RTCPeerConnection();
  const channel = connection.createDataChannel(
    'lumamesh',
    isNegotiated ? { negotiated: true, id: 0 } : {},
  );
  channel.binaryType = 'arraybuffer';
  const opened = new Promise<void>((resolve, reject) => {
    channel.addEventListener('open', () => resolve());
    setTimeout(
      () =>
        reject(
          new Error(
            `not open after 15 s: ice ${connection.iceConnectionState}, connection ${connection.connectionState}`,
          ),
        ),
      15_000,
    );
  });
  await connection.setLocalDescription(await connection.createOffer());
  const mid = midOf(connection.localDescription?.sdp ?? '');
  await connection.setRemoteDescription({
    type: 'answer',
    sdp: relayAnswer(relay, [relay.ip], mid),
  });
  await opened;
  return { connection, channel };
}

/** Connects `count` times in a row; answers the milliseconds of each. */
async function connectInARow(relay: RawRelay, count: number): Promise<number[]> {
  const durations: number[] = [];
  for (let i = 0; i < count; i++) {
    const startedAt = performance.now();
    const { connection } = await openRaw(relay, true);
    durations.push(Math.round(performance.now() - startedAt));
    connection.close();
  }
  return durations;
}

/** Connects, says something as soon as the channel is open, and leaves when it comes back. */
async function firstAnswer(relay: RawRelay): Promise<void> {
  const { connection, channel } = await openRaw(relay, true);
  await new Promise<void>((resolve) => {
    channel.addEventListener('message', ({ data }) => {
      if (data === 'join') resolve();
    });
    channel.send('join');
  });
  connection.close();
}

/** Sends strings and binary of these sizes to an echo and compares what comes back; answers the sizes that did. */
async function echo(
  relay: RawRelay,
  sizes: readonly number[],
  isNegotiated: boolean,
): Promise<string[]> {
  const { connection, channel } = await openRaw(relay, isNegotiated);
  const returned: string[] = [];
  const roundTrip = async (value: string | ArrayBuffer): Promise<unknown> =>
    new Promise((resolve, reject) => {
      setTimeout(() => reject(new Error('no echo after 20 s')), 20_000);
      channel.addEventListener('message', (event: MessageEvent<unknown>) => resolve(event.data), {
        once: true,
      });
      channel.send(value as string);
    });
  for (const size of sizes) {
    const text = 'é'.repeat(size / 2) + 'x'.repeat(size % 2);
    if ((await roundTrip(text)) === text) returned.push(`text ${size}`);
    const bytes = Uint8Array.from({ length: size }, (_, i) => i & 255);
    const back = await roundTrip(bytes.buffer);
    if (
      back instanceof ArrayBuffer &&
      back.byteLength === size &&
      new Uint8Array(back).every((byte, i) => byte === bytes[i])
    )
      returned.push(`binary ${size}`);
  }
  connection.close();
  return returned;
}

/** Whether the page really has no other way out. */
async function blockedWays(): Promise<string[]> {
  const blocked: string[] = [];
  await fetch(location.href).catch(() => blocked.push('fetch'));
  await new Promise<void>((resolve) => {
    try {
      const socket = new WebSocket(`ws://${location.host}/`);
      socket.addEventListener('error', () => {
        blocked.push('WebSocket');
        resolve();
      });
      socket.addEventListener('open', () => resolve());
    } catch {
      blocked.push('WebSocket');
      resolve();
    }
  });
  return blocked;
}

let net: Net | null = null;
let counter: ReturnType<typeof setInterval> | undefined;
let counted = -1;
let room: Room | null = null;

function watch(peer: Peer): void {
  note('peer', peer.nick);
  peer.on('open', () => note('open', peer.nick));
  peer.on('data', (value) =>
    note(
      'data',
      value instanceof Uint8Array
        ? { bytes: [...value.subarray(0, 4)], length: value.length }
        : value,
    ),
  );
  peer.on('path', (path) => note('path', path));
  peer.on('close', (reason) => note('close', reason));
}

function join(relays: readonly RelaySource[], name: string, nick: string, password: string): void {
  net = connect({ relays });
  net.on('status', (status) => note('status', status.state));
  const noteError = ({ code, message }: LumameshError): void => {
    note('error', code);
    note('sentence', message);
  };
  net.on('error', noteError);
  room = net.joinRoom(name, { nick, ...(password === '' ? {} : { password }) });
  room.on('peer', watch);
  room.on('joined', (peers) => note('joined', peers));
  room.on('leave', (peer, reason) => note('leave', `${peer.nick} ${reason}`));
  room.on('error', noteError);
}

Object.assign(globalThis, {
  harness: {
    openRaw,
    connectInARow,
    firstAnswer,
    echo,
    blockedWays,
    join,
    log: () => log,
    /** For a page that several tests use. */
    clearLog: () => void log.splice(0),
    broadcast: (value: unknown, isReliable: boolean) =>
      room?.broadcast(value, { reliable: isReliable }),
    broadcastBytes: (length: number) =>
      room?.broadcast(Uint8Array.from({ length }, (_, i) => i & 255)),
    relays: () => net?.status.relays.filter(({ state }) => state === 'open').map(({ nk }) => nk),
    peers: () => room?.peers.map(({ nick, state }) => ({ nick, state })),
    path: () => room?.peers[0]?.path,
    transports: () => net?.status.relays.map(({ transport }) => transport),
    sendTo: (nick: string, value: unknown) =>
      room?.peers.find((peer) => peer.nick === nick)?.send(value),
    /** Says 0, 1, 2, … to everybody, one every so many ms. */
    count: (intervalMs: number) => {
      counter = setInterval(() => void room?.broadcast((counted += 1)), intervalMs);
    },
    stopCounting: () => {
      clearInterval(counter);
      return counted;
    },
    statsOf: (nick: string) => room?.peers.find((peer) => peer.nick === nick)?.stats(),
    wake: () => net?.wake(),
    leave: () => room?.leave(),
    close: () => net?.close(),
  },
});
