import {
  type ConnectOptions,
  type IncomingFile,
  LumameshError,
  type Net,
  type Peer,
  type Room,
  type RoomOptions,
  connect,
} from 'lumamesh';
import { log, note } from './log.ts';

/* What features.test.ts drives inside the page: each function is a step, and answers JSON. What happens is noted in one log. */

let net: Net | null = null;
let room: Room | null = null;
const files: IncomingFile[] = [];
const videos: MediaStream[] = [];

function codeOf(error: unknown): string {
  return error instanceof LumameshError ? error.code : String(error);
}

/** The peer of a nick, open. */
function peerOf(nick: string): Peer {
  const peer = room?.peers.find((candidate) => candidate.nick === nick && candidate.isOpen);
  if (peer === undefined)
    throw new Error(
      `no open peer ${nick} among ${room?.peers.map((candidate) => `${candidate.nick} ${candidate.state}`).join(', ')}`,
    );
  return peer;
}

interface Structured {
  readonly map: ReadonlyMap<string, unknown>;
  readonly date: Date;
  readonly floats: Float32Array;
  readonly file: File;
}

function isStructured(value: unknown): value is Structured {
  return typeof value === 'object' && value !== null && 'map' in value && value.map instanceof Map;
}

function watch(peer: Peer): void {
  note('peer', peer.nick);
  peer.on('open', () => note('open', peer.nick));
  peer.on('status', (state) => note('peer status', `${peer.nick} ${state}`));
  peer.on('data', (value) =>
    note(
      'data',
      isStructured(value)
        ? [
            ...value.map.keys(),
            value.date.getTime(),
            'nothing' in value,
            value.floats.length,
            value.file.name,
          ]
        : value instanceof Uint8Array
          ? { bytes: value.length, sum: value.reduce((sum, byte) => (sum + byte) % 65_521, 0) }
          : value,
    ),
  );
  peer.on('file', (file) => {
    files.push(file);
    note('file', { name: file.name, size: file.size, type: file.type });
    // Before the channel of the file has opened, that is.
    if (file.name === 'at once')
      void file.accept().then(
        ({ size }) => note('accepted', size),
        (error: unknown) => note('accepted', codeOf(error)),
      );
  });
  peer.on('stream', (stream, metadata) => {
    videos.push(stream);
    note('stream', metadata);
  });
}

function join(options: ConnectOptions, name: string, roomOptions: RoomOptions = {}): void {
  net = connect(options);
  net.on('status', (status) => note('status', status.state));
  net.on('error', (error) => note('error', error.code));
  room = net.joinRoom(name, roomOptions);
  room.on('peer', watch);
  room.on('joined', (peers) => note('joined', peers));
  room.on('leave', (peer, reason) => note('leave', `${peer.nick} ${reason}`));
  room.on('error', (error) => note('error', error.code));
  room.answer('add', (value) =>
    Array.isArray(value) ? value.reduce((sum: number, item) => sum + Number(item), 0) : null,
  );
  const [, onMove] = room.action<{ x: number }>('move');
  onMove(({ x }, peer) => note('move', [peer.nick, x]));
}

/** A moving picture from a canvas: no camera is asked for. */
function makeVideo(): MediaStream {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = 64;
  const context = canvas.getContext('2d');
  setInterval(() => {
    if (context === null) return;
    context.fillStyle = `hsl(${performance.now() % 360} 80% 50%)`;
    context.fillRect(0, 0, 64, 64);
  }, 50);
  return canvas.captureStream(20);
}

/** Frames that a received stream has shown. */
async function framesOf(index: number): Promise<number> {
  const stream = videos[index];
  if (stream === undefined) return 0;
  const video = document.createElement('video');
  document.body.append(video);
  video.muted = true;
  video.srcObject = stream;
  await video.play().catch(() => undefined);
  // Firefox counts frames of media elements that it paints only; how far a live stream has played it always tells.
  const shown = (): number =>
    Math.max(
      video.getVideoPlaybackQuality().totalVideoFrames,
      video.videoWidth > 0 ? Math.floor(video.currentTime * 10) : 0,
    );
  for (let i = 0; i < 200 && shown() < 3; i++)
    await new Promise((resolve) => setTimeout(resolve, 100));
  return shown();
}

let sentVideo: MediaStream | null = null;

Object.assign(globalThis, {
  harness: {
    /** Names of docs/api that a net, a room or a peer has not, or that say nothing. */
    missingNames: (documented: Record<string, readonly string[]>): string[] => {
      const objects: Record<string, object | null> = {
        Net: net,
        Room: room,
        Peer: room?.peers[0] ?? null,
      };
      return Object.entries(objects).flatMap(([title, object]) =>
        (documented[title] ?? ['all']).filter(
          (name) => object === null || (object as Record<string, unknown>)[name] === undefined,
        ),
      );
    },
    rttMs: (nick: string): number => peerOf(nick).rttMs,
    join,
    log: () => log,
    status: () => net?.status,
    selfId: () => room?.selfId,
    peers: () =>
      room?.peers.map((peer) => ({
        id: peer.id,
        nick: peer.nick,
        state: peer.state,
        isDirect: peer.isDirect,
      })),
    leave: () => room?.leave(),
    close: () => net?.close(),
    broadcast: async (value: unknown) => room?.broadcast(value),
    send: async (nick: string, value: unknown) => peerOf(nick).send(value),
    move: async (nick: string, x: number) =>
      room?.action<{ x: number }>('move')[0]({ x }, { to: peerOf(nick), reliable: false }),
    request: async (nick: string, name: string, value: unknown) =>
      peerOf(nick).request(name, value, { timeoutMs: 5000 }).catch(codeOf),
    rtt: async (nick: string) => peerOf(nick).rtt(),
    /** Sends binary of this size; answers how often progress was heard, and whether it was sent. */
    sendBytes: async (nick: string, length: number) => {
      let progress = 0;
      const isSent = await peerOf(nick).send(
        Uint8Array.from({ length }, (_, i) => i & 255),
        { onProgress: () => (progress += 1) },
      );
      return { isSent, progress };
    },
    /**
     * Sends a file of so many bytes; meanwhile asks for the round trip to the peer, sends a line,
     * and adds a video. Answers how long each round trip took, in ms, and what became of the rest.
     */
    doAllAtOnce: async (nick: string, length: number) => {
      const peer = peerOf(nick);
      // Of the same blob again and again: a browser that copies a gigabyte says nothing for seconds.
      const part = new Blob([new Uint8Array(4_194_304)]);
      const parts = Array.from({ length: Math.ceil(length / part.size) }, () => part);
      const controller = new AbortController();
      const begun = Promise.withResolvers<void>();
      let sent = 0;
      const transfer = peer.sendFile(new File(parts, 'at once'), {
        signal: controller.signal,
        onProgress: (bytes) => {
          sent = bytes;
          if (bytes > 4_000_000) begun.resolve();
        },
      });
      const ended = transfer.then(() => 'sent', codeOf);
      // What ends before it has begun says why.
      await Promise.race([begun.promise, ended]);
      const before = sent;
      const trips: number[] = [];
      const line = peer.send('a line meanwhile');
      for (let i = 0; i < 20; i++) trips.push(await peer.rtt());
      const hasLine = await line;
      const isBusy = sent > before && sent < parts.length * part.size;
      controller.abort();
      return { trips, hasLine, isBusy, ended: await ended };
    },
    /** Sends small files one after another; answers how many the peer has. */
    sendManyFiles: async (nick: string, count: number) => {
      let arrived = 0;
      for (let i = 0; i < count; i++) {
        await peerOf(nick).sendFile(new File([new Uint8Array(1024)], 'at once'));
        arrived += 1;
      }
      return arrived;
    },
    /** Sends values that JSON does not carry. */
    sendStructured: async (nick: string) =>
      peerOf(nick).send({
        map: new Map([['k', new Set([1n])]]),
        date: new Date(7),
        nothing: undefined,
        floats: new Float32Array([0.5, Number.NaN]),
        file: new File(['abc'], 'a.txt', { type: 'text/plain' }),
      }),
    /** Sends without waiting, and ends at once what was said. */
    sendAndEnd: async (nick: string, length: number, what: 'peer' | 'room' | 'net') => {
      const peer = peerOf(nick);
      const sent = [peer.send(new Uint8Array(length)), peer.send('the last line')];
      const ended = what === 'peer' ? peer.close() : what === 'room' ? room?.leave() : net?.close();
      await ended;
      return Promise.all(sent);
    },
    /** Begins to send much, and takes it back. */
    cancelBytes: async (nick: string, length: number) => {
      const abort = new AbortController();
      return peerOf(nick).send(new Uint8Array(length), {
        signal: abort.signal,
        onProgress: () => abort.abort(),
      });
    },
    sendFile: async (
      nick: string,
      length: number,
      name: string,
      cancelAt: number | null = null,
    ) => {
      const abort = new AbortController();
      const file = new File([Uint8Array.from({ length }, (_, i) => i & 255)], name, {
        type: 'text/plain',
      });
      const onProgress = (sent: number): void => {
        if (cancelAt !== null && sent >= cancelAt) abort.abort();
      };
      return peerOf(nick)
        .sendFile(file, { signal: abort.signal, onProgress })
        .then(() => 'sent', codeOf);
    },
    acceptFile: async (index: number) => {
      let progress = 0;
      try {
        const blob = await files[index]?.accept({ onProgress: () => (progress += 1) });
        const bytes = new Uint8Array((await blob?.arrayBuffer()) ?? new ArrayBuffer(0));
        return {
          size: bytes.length,
          type: blob?.type,
          isRight: bytes.every((byte, i) => byte === (i & 255)),
          progress,
        };
      } catch (error) {
        return codeOf(error);
      }
    },
    refuseFile: (index: number) => files[index]?.refuse(),
    addVideo: (metadata: unknown) => room?.addStream((sentVideo = makeVideo()), metadata),
    replaceVideo: async (nick: string) => {
      const [oldTrack] = sentVideo?.getTracks() ?? [];
      const [newTrack] = makeVideo().getTracks();
      if (oldTrack === undefined || newTrack === undefined) throw new Error('no track');
      await peerOf(nick).replaceTrack(oldTrack, newTrack);
    },
    removeVideo: () => {
      if (sentVideo !== null) room?.removeStream(sentVideo);
    },
    framesOf,
    tracksOf: (index: number) =>
      videos[index]?.getTracks().filter(({ muted, readyState }) => !muted && readyState === 'live')
        .length ?? 0,
    mutedOf: (index: number) => videos[index]?.getTracks().every(({ muted }) => muted) ?? true,
  },
});
