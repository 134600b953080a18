import { LumameshError } from '@lumamesh/base';
import type { Api, Feature, PeerHandle, PeerPart } from '../feature.ts';
import { HIGH_WATER_BYTES, MAX_FRAME_BYTES } from '../peer/peer-frame.ts';

/*
 * A file has a data channel of its own, so it delays nothing else and is taken back by closing the
 * channel. Its label is `file` and a JSON object: name, type, size. Nothing flows until the
 * receiver says `go`; then the bytes come in order, and the receiver says `ok` when it has all of
 * them.
 */
const LABEL = 'file';
/** Parts are handed to the browser as a Blob from time to time: large ones it keeps on disk. */
const PARTS_PER_BLOB = 256;
const MAX_NAME_LENGTH = 255;

export interface FileOptions {
  /** Default: the File's own, or empty. */
  readonly name?: string;
  /** Stops the transfer. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (bytes: number, totalBytes: number) => void;
}

export interface FilesPeer {
  /**
   * Sends a file; resolves when the peer has all of it. Rejects with `FILE_CANCELLED`,
   * `FILE_FAILED` or `PEER_NOT_DIRECT`.
   */
  sendFile(file: Blob, options?: FileOptions): Promise<void>;
}

export type FilesEvents = {
  /**
   * The peer would like to send a file: nothing flows until `file.accept()`. Refused when nobody
   * listens.
   */
  file: [file: IncomingFile];
};

export interface FilesApi extends Api {
  readonly peer: FilesPeer;
  readonly peerEvents: FilesEvents;
}

/** Files of any size, by consent: `peer.sendFile`, `peer.on('file')`. */
export function files(): Feature<FilesApi> {
  return { name: 'files', peer: filesOf };
}

function filesOf(peer: PeerHandle): PeerPart {
  const api: FilesPeer = {
    sendFile: async (file, options = {}) => {
      const { connection } = peer;
      if (connection === null)
        throw new LumameshError('PEER_NOT_DIRECT', 'files take a direct connection');
      return sendFile(connection, file, options);
    },
  };
  return {
    api,
    events: ['file'],
    onChannel: (channel) => {
      const file = readFileOffer(channel);
      if (file === null) return false;
      if (peer.has('file')) peer.emit('file', file);
      else file.refuse();
      return true;
    },
  };
}

/** A file that a peer would like to give us. Nothing is sent before {@link IncomingFile.accept}. */
export class IncomingFile {
  /** As the sender called it: a stranger's word, without any path. */
  readonly name: string;
  readonly type: string;
  /** In bytes. */
  readonly size: number;
  readonly #channel: RTCDataChannel;
  #isTaken = false;

  constructor(
    channel: RTCDataChannel,
    { name, type, size }: { name: string; type: string; size: number },
  ) {
    this.#channel = channel;
    this.name = (name.split(/[/\\]/).at(-1) ?? '').slice(0, MAX_NAME_LENGTH);
    this.type = type.slice(0, MAX_NAME_LENGTH);
    this.size = size;
  }

  /**
   * Receives it. Rejects with `FILE_FAILED` when it does not come through, `FILE_CANCELLED` when
   * either side stops it.
   */
  async accept({ signal, onProgress }: Omit<FileOptions, 'name'> = {}): Promise<Blob> {
    const channel = this.#channel;
    if (this.#isTaken || channel.readyState.startsWith('clos'))
      throw new LumameshError('FILE_FAILED', 'accepted, refused or ended already');
    this.#isTaken = true;
    let blob = new Blob([], { type: this.type });
    let parts: ArrayBuffer[] = [];
    let received = 0;
    const finish = watch(channel, signal);
    channel.addEventListener('message', ({ data }: MessageEvent<unknown>) => {
      if (!(data instanceof ArrayBuffer) || received > this.size) return;
      parts.push(data);
      received += data.byteLength;
      if (received > this.size)
        return finish.reject(new LumameshError('FILE_FAILED', 'larger than it said'));
      if (parts.length >= PARTS_PER_BLOB || received === this.size) {
        blob = new Blob([blob, ...parts], { type: this.type });
        parts = [];
      }
      if (received === this.size) finish.resolve();
      onProgress?.(received, this.size);
    });
    // A page may be quicker than the channel, which opens after it was announced.
    const go = (): void => {
      channel.send('go');
      if (this.size === 0) finish.resolve();
    };
    if (channel.readyState === 'open') go();
    else channel.addEventListener('open', go, { once: true });
    try {
      await finish.promise;
      channel.send('ok');
      return blob;
    } catch (error) {
      channel.close();
      throw error;
    }
  }

  refuse(): void {
    this.#isTaken = true;
    this.#channel.close();
  }
}

/** Reads the label of a channel that the other side has opened; `null` for one that is no file. */
export function readFileOffer(channel: RTCDataChannel): IncomingFile | null {
  if (!channel.label.startsWith(LABEL)) return null;
  try {
    const { name, type, size } = JSON.parse(channel.label.slice(LABEL.length)) as Record<
      string,
      unknown
    >;
    if (
      typeof name !== 'string' ||
      typeof type !== 'string' ||
      !Number.isSafeInteger(size) ||
      Number(size) < 0
    )
      return null;
    channel.binaryType = 'arraybuffer';
    return new IncomingFile(channel, { name, type, size: Number(size) });
  } catch {
    return null;
  }
}

/**
 * Sends a file; resolves when the receiver has all of it, rejects with `FILE_CANCELLED` or
 * `FILE_FAILED`.
 */
export async function sendFile(
  connection: RTCPeerConnection,
  file: Blob,
  options: FileOptions,
): Promise<void> {
  const name = (options.name ?? (file as { name?: string }).name ?? '').slice(0, MAX_NAME_LENGTH);
  const channel = connection.createDataChannel(
    LABEL + JSON.stringify({ name, type: file.type, size: file.size }),
  );
  channel.bufferedAmountLowThreshold = HIGH_WATER_BYTES / 2;
  const finish = watch(channel, options.signal);
  let isPouring = false;
  channel.addEventListener('message', ({ data }: MessageEvent<unknown>) => {
    if (data === 'ok') finish.resolve();
    if (data !== 'go' || isPouring) return;
    isPouring = true;
    pour(channel, file, options).catch((cause: unknown) =>
      finish.reject(new LumameshError('FILE_FAILED', String(cause), { cause })),
    );
  });
  try {
    await finish.promise;
  } finally {
    channel.close();
  }
}

async function pour(
  channel: RTCDataChannel,
  file: Blob,
  { onProgress }: FileOptions,
): Promise<void> {
  // Browsers may hand out the answer before they say that the channel is open.
  if (channel.readyState === 'connecting') await changed(channel);
  for (let sent = 0; sent < file.size && channel.readyState === 'open';) {
    const bytes = await file.slice(sent, sent + HIGH_WATER_BYTES).arrayBuffer();
    for (let at = 0; at < bytes.byteLength; at += MAX_FRAME_BYTES) {
      if (channel.readyState !== 'open') return;
      channel.send(new Uint8Array(bytes, at, Math.min(MAX_FRAME_BYTES, bytes.byteLength - at)));
    }
    sent += bytes.byteLength;
    onProgress?.(sent, file.size);
    if (channel.bufferedAmount > HIGH_WATER_BYTES / 2) await changed(channel);
  }
}

/** Waits until it is open, drained or closed. */
function changed(channel: RTCDataChannel): Promise<unknown> {
  return new Promise((resolve) => {
    for (const event of ['open', 'bufferedamountlow', 'close'])
      channel.addEventListener(event, resolve, { once: true });
  });
}

/** A promise that the end of the channel, or of the caller's patience, rejects. */
function watch(
  channel: RTCDataChannel,
  signal: AbortSignal | undefined,
): PromiseWithResolvers<void> {
  const finish = Promise.withResolvers<void>();
  // Whoever awaits it hears of it; until somebody does it is no unhandled rejection.
  finish.promise.catch(() => undefined);
  channel.addEventListener('close', () =>
    finish.reject(new LumameshError('FILE_CANCELLED', 'ended by the other side')),
  );
  const abort = (): void => {
    finish.reject(new LumameshError('FILE_CANCELLED', 'stopped', { cause: signal?.reason }));
    channel.close();
  };
  if (signal?.aborted === true) abort();
  signal?.addEventListener('abort', abort);
  return finish;
}
