import { type Net, type Peer, type Room, type StreamOptions, connect } from 'lumamesh';
import { log, note } from './log.ts';

/* What media.test.ts drives inside pages. Results go back as JSON. */

let net: Net | null = null;
let room: Room | null = null;
/** What this page makes and sends, by name. */
const made = new Map<string, MediaStreamTrack>();
const streams = new Map<string, MediaStream>();
/** What shows the streams that were received. */
const videos = new Map<MediaStream, HTMLVideoElement>();
const warnings: string[] = [];
/** All that the library has made. */
const connections: RTCPeerConnection[] = [];
let isLosing = false;

globalThis.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(configuration?: RTCConfiguration) {
    super(configuration);
    connections.push(this);
  }

  /** As when the network loses a connection: the other side does not hear of its end. */
  override close(): void {
    if (isLosing) setTimeout(() => super.close(), 3000);
    else super.close();
  }
};

function thePeer(): Peer {
  const [peer] = room?.peers ?? [];
  if (peer === undefined) throw new Error('there is no peer');
  return peer;
}

function get<Value>(map: ReadonlyMap<string, Value>, name: string): Value {
  const value = map.get(name);
  if (value === undefined) throw new Error(`there is no ${name}`);
  return value;
}

function watch(peer: Peer): void {
  peer.on('open', () => note('open', peer.nick));
  for (const event of ['stream', 'streamChanged', 'streamRemoved'] as const)
    peer.on(event, (stream, metadata, id) =>
      note(event, {
        id,
        metadata,
        kinds: stream
          .getTracks()
          .map(({ kind }) => kind)
          .sort(),
      }),
    );
  for (const event of ['track', 'trackMuted', 'trackUnmuted', 'trackRemoved'] as const)
    peer.on(event, ({ kind }, _stream, { streamId, metadata, isMuted }) =>
      note(event, { streamId, kind, metadata, isMuted }),
    );
}

/** A picture of one colour; something in it moves, so that there are frames. */
function makeVideo(name: string, colour: string, width: number, height: number): void {
  const canvas = Object.assign(document.createElement('canvas'), { width, height });
  const context = canvas.getContext('2d');
  let frames = 0;
  setInterval(() => {
    if (context === null) return;
    context.fillStyle = colour;
    context.fillRect(0, 0, width, height);
    context.fillStyle = 'gray';
    context.fillRect(frames++ % width, 0, 4, 4);
  }, 50);
  const [track] = canvas.captureStream(20).getTracks();
  if (track !== undefined) made.set(name, track);
}

async function makeAudio(name: string): Promise<void> {
  const context = new AudioContext();
  const oscillator = context.createOscillator();
  const destination = context.createMediaStreamDestination();
  oscillator.connect(destination);
  oscillator.start();
  const [track] = destination.stream.getTracks();
  if (track !== undefined) made.set(name, track);
}

/** What a received stream shows: `160x120 red`. */
async function pictureOf(id: string): Promise<string> {
  const { stream } = thePeer().streams.find((one) => one.id === id) ?? {};
  if (stream === undefined) return 'no stream';
  let video = videos.get(stream);
  if (video === undefined) {
    video = Object.assign(document.createElement('video'), {
      autoplay: true,
      muted: true,
      srcObject: stream,
    });
    videos.set(stream, video);
    document.body.append(video);
  }
  await Promise.race([
    new Promise((resolve) => video.requestVideoFrameCallback(resolve)),
    new Promise((resolve) => setTimeout(resolve, 500)),
  ]);
  const { videoWidth: width, videoHeight: height } = video;
  if (width === 0) return 'no picture';
  const canvas = Object.assign(document.createElement('canvas'), { width, height });
  const context = canvas.getContext('2d');
  context?.drawImage(video, 0, 0);
  const [red = 0, green = 0, blue = 0] =
    context?.getImageData(width / 2, height / 2, 1, 1).data ?? [];
  const colours = { red, lime: green, blue };
  const bright = Object.entries(colours).flatMap(([name, value]) => (value > 128 ? [name] : []));
  return `${width}x${height} ${bright.join('+') || 'black'}`;
}

/** Entries of the statistics of the connection of now. */
async function statsOf(type: string, kind: string): Promise<readonly Record<string, unknown>[]> {
  const report = await connections.at(-1)?.getStats();
  return [...((report?.values() ?? []) as Iterable<Record<string, unknown>>)].filter(
    (entry) => entry['type'] === type && (entry['kind'] ?? kind) === kind,
  );
}

Object.assign(globalThis, {
  harness: {
    log: () => log,
    warnings: () => warnings,
    join: (relay: string, nick: string) => {
      net = connect({ relays: [relay], logger: { warn: (message) => warnings.push(message) } });
      room = net.joinRoom('media', { nick });
      room.on('joined', (peers) => note('joined', peers));
      room.on('peer', watch);
    },
    makeVideo,
    makeAudio,
    /** A stream of tracks that were made; adds to one that is there. */
    makeStream: (name: string, ...tracks: readonly string[]) => {
      const stream = streams.get(name) ?? new MediaStream();
      streams.set(name, stream);
      for (const track of tracks) stream.addTrack(get(made, track));
    },
    dropTrack: (name: string, track: string) => get(streams, name).removeTrack(get(made, track)),
    add: (to: 'room' | 'peer', name: string, metadata: unknown, options?: StreamOptions) =>
      (to === 'room' ? room : thePeer())?.addStream(get(streams, name), metadata, options),
    remove: (to: 'room' | 'peer', id: string) =>
      (to === 'room' ? room : thePeer())?.removeStream(id),
    replace: (to: 'room' | 'peer', before: string, after: string | null) =>
      (to === 'room' ? room : thePeer())?.replaceTrack(
        get(made, before),
        after === null ? null : get(made, after),
      ),
    enable: (track: string, isEnabled: boolean) => {
      get(made, track).enabled = isEnabled;
    },
    stop: (track: string) => get(made, track).stop(),
    pictureOf,
    /** Packets of sound that have come by the connection of now. */
    soundPackets: async () =>
      (await statsOf('inbound-rtp', 'audio')).reduce(
        (sum, { packetsReceived }) => sum + Number(packetsReceived ?? 0),
        0,
      ),
    streams: () =>
      thePeer().streams.map(({ id, metadata, tracks }) => ({
        id,
        metadata,
        tracks: tracks.map(({ track, isMuted }) => ({ kind: track.kind, isMuted })),
      })),
    isSameTrack: (one: string, other: string) => {
      const [first, second] = [one, other].map(
        (id) =>
          thePeer()
            .streams.find((stream) => stream.id === id)
            ?.stream.getVideoTracks()[0],
      );
      return first !== undefined && first === second;
    },
    /** How many parts the description of the connection has: media, and one for channels. */
    sections: () => connections.at(-1)?.localDescription?.sdp.match(/^m=/gm)?.length,
    codec: async () => {
      const [sent] = await statsOf('outbound-rtp', 'video');
      const codecs = await statsOf('codec', 'video');
      return codecs.find(({ id }) => id === sent?.['codecId'])?.['mimeType'];
    },
    maxBitrates: () =>
      connections
        .at(-1)
        ?.getSenders()
        .flatMap((sender) => sender.getParameters().encodings.map(({ maxBitrate }) => maxBitrate)),
    connections: () => connections.length,
    reconnect: () => {
      isLosing = true;
      (thePeer() as Peer & { restartConnection(): void }).restartConnection();
      isLosing = false;
    },
    close: () => net?.close(),
  },
});
