import { midOf, relayAnswer } from '@lumamesh/protocol';

/*
 * A page that uses a relay's TURN server by hand: nothing of the library decides anything here.
 * Descriptions go through the test; results go back as JSON.
 */
interface TurnRelay {
  readonly fingerprint: string;
  readonly ip: string;
  readonly port: number;
  readonly tcpPort?: number;
  readonly ufrag: string;
  readonly pwd: string;
}

interface Credentials {
  readonly username: string;
  readonly password: string;
}

const DATA_BYTES = 200_000;
const CHUNK_BYTES = 10_000;

let relayConnection: RTCPeerConnection | null = null;
let toRelayNow: RTCDataChannel | null = null;
let connection: RTCPeerConnection | null = null;
let channel: RTCDataChannel | null = null;
let bytes = 0;
let isIntact = true;
let arrived = Promise.withResolvers<void>();

/** Opens a channel to the relay, over UDP or TCP; answers how long it took. */
async function dial(relay: TurnRelay, overTcp: boolean): Promise<RTCDataChannel> {
  const made = new RTCPeerConnection();
  relayConnection = made;
  const toRelay = made.createDataChannel('lumamesh', { negotiated: true, id: 0 });
  const opened = new Promise((resolve) => toRelay.addEventListener('open', resolve));
  await made.setLocalDescription(await made.createOffer());
  const mid = midOf(made.localDescription?.sdp ?? '');
  const sdp = relayAnswer(relay, [relay.ip], mid, overTcp ? relay.tcpPort : undefined);
  await made.setRemoteDescription({ type: 'answer', sdp });
  await opened;
  toRelayNow = toRelay;
  return toRelay;
}

/** Joins a room; answers the credentials that came with `joined`. */
async function enter(
  relay: TurnRelay,
  room: string,
  peer: string,
  overTcp = false,
): Promise<Credentials | undefined> {
  const toRelay = await dial(relay, overTcp);
  return new Promise((resolve) => {
    toRelay.addEventListener('message', ({ data }: MessageEvent<string>) => {
      const frame = JSON.parse(data) as { action: string; turn?: Credentials };
      if (frame.action === 'joined') resolve(frame.turn);
    });
    toRelay.send(JSON.stringify({ action: 'join', room, peer }));
  });
}

/** Asks the relay whether it is there; answers how long that took. */
async function ping(): Promise<number> {
  const made = toRelayNow;
  if (made === null) throw new Error('no relay');
  const startedAt = performance.now();
  const answered = new Promise<void>((resolve) => {
    made.addEventListener('message', ({ data }: MessageEvent<string>) => {
      if ((JSON.parse(data) as { action: string }).action === 'pong') resolve();
    });
  });
  made.send('{"action":"ping"}');
  await answered;
  return performance.now() - startedAt;
}

/** A connection that may go over the relay only. */
function make(relay: TurnRelay, { username, password }: Credentials, overTcp: boolean): void {
  const port = overTcp ? relay.tcpPort : relay.port;
  const urls = `turn:${relay.ip}:${port}?transport=${overTcp ? 'tcp' : 'udp'}`;
  connection = new RTCPeerConnection({
    iceServers: [{ urls, username, credential: password }],
    iceTransportPolicy: 'relay',
  });
  channel = connection.createDataChannel('data', { negotiated: true, id: 1 });
  channel.binaryType = 'arraybuffer';
  [bytes, isIntact, arrived] = [0, true, Promise.withResolvers<void>()];
  // From the start: the other page may send before this one is told to.
  channel.addEventListener('message', ({ data }: MessageEvent<ArrayBuffer>) => {
    isIntact &&= new Uint8Array(data).every((byte, i) => byte === (i & 0xff));
    bytes += data.byteLength;
    if (bytes >= DATA_BYTES) arrived.resolve();
  });
}

function current(): RTCPeerConnection {
  if (connection === null) throw new Error('no connection');
  return connection;
}

/** The local description with its candidates, once they are gathered. */
async function gathered(): Promise<string> {
  const made = current();
  while (made.iceGatheringState !== 'complete')
    await new Promise((resolve) =>
      made.addEventListener('icegatheringstatechange', resolve, { once: true }),
    );
  return made.localDescription?.sdp ?? '';
}

async function offer(relay: TurnRelay, turn: Credentials, overTcp = false): Promise<string> {
  make(relay, turn, overTcp);
  await current().setLocalDescription(await current().createOffer());
  return gathered();
}

async function answer(
  relay: TurnRelay,
  turn: Credentials,
  sdp: string,
  overTcp = false,
): Promise<string> {
  make(relay, turn, overTcp);
  await current().setRemoteDescription({ type: 'offer', sdp });
  await current().setLocalDescription(await current().createAnswer());
  return gathered();
}

async function accept(sdp: string): Promise<void> {
  await current().setRemoteDescription({ type: 'answer', sdp });
}

/** Sends {@link DATA_BYTES} and takes as many; answers what came and by which kind of pair. */
async function exchange(): Promise<{ bytes: number; isIntact: boolean; kinds: string[] }> {
  const made = channel;
  if (made === null) throw new Error('no channel');
  if (made.readyState !== 'open')
    await new Promise((resolve) => made.addEventListener('open', resolve));
  const chunk = Uint8Array.from({ length: CHUNK_BYTES }, (_, i) => i & 0xff);
  for (let sent = 0; sent < DATA_BYTES; sent += CHUNK_BYTES) made.send(chunk);
  await arrived.promise;
  let kinds = await pairKinds();
  // Data may have come by a pair before the browser says that it is the one in use.
  for (let i = 0; i < 50 && kinds.includes('undefined'); i++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    kinds = await pairKinds();
  }
  return { bytes, isIntact, kinds };
}

/** The types of both candidates of the pair in use. */
async function pairKinds(): Promise<string[]> {
  const stats = await current().getStats();
  const entries = [...(stats as unknown as Map<string, Record<string, unknown>>).values()];
  const pair = entries.find(
    ({ type, nominated, state }) =>
      type === 'candidate-pair' && nominated === true && state === 'succeeded',
  );
  const kind = (id: unknown): string =>
    String(entries.find((entry) => entry['id'] === id)?.['candidateType']);
  return [kind(pair?.['localCandidateId']), kind(pair?.['remoteCandidateId'])];
}

function close(): void {
  connection?.close();
  relayConnection?.close();
}

Object.assign(globalThis, { harness: { enter, ping, offer, answer, accept, exchange, close } });
