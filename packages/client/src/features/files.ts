import { LumameshError, expectThat } from '@lumamesh/base';
import { checkSignal, expectFields } from '../options.ts';
import type { Api, Feature, PeerHandle, PeerPart } from '../feature.ts';
import { isBlob } from './structured-codec.ts';

/*
 * A file goes in pieces by the bulk lane, so it delays nothing else, outlives lost connections, and
 * goes every way that values go. `n` is the sender's number of it. The frames:
 *
 *   file <n>       what it is: { name, type, size }
 *   fileGo <n>     the receiver would like to have it: nothing flows before that
 *   piece <n>      bytes, in order
 *   fileStop <n>   the receiver does not want it (any more)
 *   fileEnd <n>    the sender has given it up
 */
const PIECE_BYTES = 262_144;
/** Pieces are handed to the browser as a Blob from time to time: large ones it keeps on disk. */
const PIECES_PER_BLOB = 64;
/** Whether a lane that is full has room again is looked at this often. */
const ROOM_RETRY_MS = 50;
const MAX_NAME_LENGTH = 255;
/** Control characters, and marks of direction, by which `gnp.exe` is shown as `exe.png`. */
const UNSEEN = /[\p{Cc}\p{Bidi_C}]/gu;
/** Offers of one peer that the page has not accepted or refused. */
const MAX_OFFERS = 1024;

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
   * `FILE_FAILED` or `PEER_CLOSED`.
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

/** A file that a peer would like to give us. Nothing is sent before {@link IncomingFile.accept}. */
export interface IncomingFile {
  /** As the sender called it: a stranger's word, without any path or unseen characters. */
  readonly name: string;
  readonly type: string;
  /** In bytes. */
  readonly size: number;
  /**
   * Receives it. Rejects with `FILE_FAILED` when it does not come through, `FILE_CANCELLED` when
   * either side stops it.
   */
  accept(options?: Omit<FileOptions, 'name'>): Promise<Blob>;
  refuse(): void;
}

/** A transfer, at either end. */
interface Transfer {
  /** The other side has something to say of it. */
  handle(frame: 'fileGo' | 'piece', value: unknown): void;
  fail(error: LumameshError): void;
}

function filesOf(peer: PeerHandle): PeerPart {
  const outgoing = new Map<string, Transfer>();
  const incoming = new Map<string, Transfer>();
  let lastNumber = 0;

  /** Says something of a transfer, by a lane that pieces do not fill. */
  const say = (frame: string, number: string): void => {
    try {
      void peer.sendFrame(frame, number, null, { lane: 'requests' });
    } catch {
      // The peer is gone, or takes no answers.
    }
  };

  const api: FilesPeer = {
    sendFile: async (file, options = {}) => {
      expectThat(isBlob(file), 'sendFile: file', 'a File or a Blob', file);
      expectFields('sendFile: ', options, 'name', 'string', 'undefined');
      checkOptions('sendFile: ', options);
      const { name = (file as Partial<File>).name ?? '', signal } = options;
      const number = String((lastNumber += 1));
      const done = Promise.withResolvers<void>();
      let hasBegun = false;
      const abort = (): void => {
        say('fileEnd', number);
        done.reject(new LumameshError('FILE_CANCELLED', 'stopped', { cause: signal?.reason }));
      };
      outgoing.set(number, {
        handle: () => {
          if (hasBegun) return;
          hasBegun = true;
          pour(number, file, options, () => outgoing.has(number)).then(
            (isDone) => isDone && done.resolve(),
            (cause: unknown) => {
              say('fileEnd', number);
              done.reject(new LumameshError('FILE_FAILED', String(cause), { cause }));
            },
          );
        },
        fail: done.reject,
      });
      try {
        if (signal?.aborted === true) abort();
        else
          void peer.sendFrame(
            'file',
            number,
            { name: name.slice(0, MAX_NAME_LENGTH), type: file.type, size: file.size },
            { lane: 'requests', ...(signal ? { signal } : {}) },
          );
        signal?.addEventListener('abort', abort);
        // It may be a while until the offer is there, but what ends the transfer ends it at once.
        await done.promise;
      } finally {
        signal?.removeEventListener('abort', abort);
        outgoing.delete(number);
      }
    },
  };

  /** A listener of the page's that throws stops no transfer. */
  const report = (tell: () => void): void => {
    try {
      tell();
    } catch (error) {
      peer.onListenerError(error);
    }
  };

  /** Sends the pieces. Returns whether the other side has all of them. */
  const pour = async (
    number: string,
    file: Blob,
    { onProgress }: FileOptions,
    isWanted: () => boolean,
  ): Promise<boolean> => {
    let sent: Promise<boolean> = Promise.resolve(true);
    for (let at = 0; at === 0 || at < file.size; at += PIECE_BYTES) {
      const end = Math.min(file.size, at + PIECE_BYTES);
      const piece = new Uint8Array(await file.slice(at, end).arrayBuffer());
      if (!isWanted()) return false;
      const before = sent;
      // They arrive in order: when the last one has, all have.
      const delivery = end === file.size ? 'received' : 'sent';
      for (;;)
        try {
          sent = peer.sendFrame('piece', number, piece, { lane: 'bulk', delivery });
          break;
        } catch {
          if (!isWanted()) return false;
          // Other files, or values of the page's own, fill the lane.
          await new Promise<void>((go) => void peer.platform.setTimer(ROOM_RETRY_MS, go));
        }
      // One piece is sent while the next is read.
      if (!(await before)) return false;
      if (end > 0) report(() => onProgress?.(end, file.size));
    }
    return sent;
  };

  const offer = (number: string, value: unknown): void => {
    const about = readOffer(value);
    if (about === null || incoming.size >= MAX_OFFERS || incoming.has(number) || !peer.has('file'))
      return say('fileStop', number);
    const file = new Incoming(about, (frame) => {
      if (frame !== 'fileGo') incoming.delete(number);
      if (frame !== 'done') say(frame, number);
    });
    incoming.set(number, file);
    peer.emit('file', file);
  };

  const fail = (): void => {
    const error = new LumameshError('FILE_FAILED', 'the other page is gone');
    for (const transfer of [...outgoing.values(), ...incoming.values()]) transfer.fail(error);
    outgoing.clear();
    incoming.clear();
  };

  const stop = (transfers: Map<string, Transfer>, number: string): void => {
    transfers.get(number)?.fail(new LumameshError('FILE_CANCELLED', 'ended by the other side'));
    transfers.delete(number);
  };

  return {
    api,
    events: ['file'],
    frames: {
      file: { handle: (value, number) => offer(number, value) },
      fileGo: {
        handle: (value, number) => {
          const transfer = outgoing.get(number);
          // It was given up before the other side had heard of it.
          if (transfer === undefined) say('fileEnd', number);
          else transfer.handle('fileGo', value);
        },
      },
      piece: { handle: (value, number) => incoming.get(number)?.handle('piece', value) },
      fileStop: { handle: (_value, number) => stop(outgoing, number) },
      fileEnd: { handle: (_value, number) => stop(incoming, number) },
    },
    onReset: fail,
    onClose: fail,
  };
}

interface Offer {
  readonly name: string;
  readonly type: string;
  readonly size: number;
}

function checkOptions(where: string, options: FileOptions): void {
  expectFields(where, options, 'onProgress', 'function', 'undefined');
  checkSignal(where, options);
}

/** Reads what a peer says of a file; `null` for what describes none. */
function readOffer(value: unknown): Offer | null {
  const { name, type, size } = (value ?? {}) as Record<string, unknown>;
  return typeof name === 'string' &&
    typeof type === 'string' &&
    Number.isSafeInteger(size) &&
    Number(size) >= 0
    ? { name, type, size: Number(size) }
    : null;
}

class Incoming implements IncomingFile, Transfer {
  readonly name: string;
  readonly type: string;
  readonly size: number;
  readonly #say: (frame: 'fileGo' | 'fileStop' | 'done') => void;
  readonly #done = Promise.withResolvers<Blob>();
  #onProgress: FileOptions['onProgress'];
  #isTaken = false;
  /** What has come: pieces that are handed over, and those that are not yet. */
  #blobs: Blob[] = [];
  #pieces: Uint8Array<ArrayBuffer>[] = [];
  #received = 0;

  constructor({ name, type, size }: Offer, say: (frame: 'fileGo' | 'fileStop' | 'done') => void) {
    // By `lastIndexOf`, whose time does not grow with the square of a name.
    const seen = name.replace(UNSEEN, '');
    const begin = Math.max(seen.lastIndexOf('/'), seen.lastIndexOf('\\')) + 1;
    this.name = seen.slice(begin, begin + MAX_NAME_LENGTH);
    this.type = type.slice(0, MAX_NAME_LENGTH);
    this.size = size;
    this.#say = say;
    // Whoever accepts hears of it; until somebody does it is no unhandled rejection.
    this.#done.promise.catch(() => undefined);
  }

  async accept(options: Omit<FileOptions, 'name'> = {}): Promise<Blob> {
    checkOptions('accept: ', options);
    const { signal, onProgress } = options;
    if (this.#isTaken) throw new LumameshError('FILE_FAILED', 'accepted, refused or ended already');
    this.#isTaken = true;
    this.#onProgress = onProgress;
    const abort = (): void =>
      this.#stop(new LumameshError('FILE_CANCELLED', 'stopped', { cause: signal?.reason }));
    if (signal?.aborted === true) abort();
    else this.#say('fileGo');
    signal?.addEventListener('abort', abort);
    try {
      return await this.#done.promise;
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  refuse(): void {
    if (this.#isTaken) return;
    this.#isTaken = true;
    this.#stop(new LumameshError('FILE_CANCELLED', 'refused'));
  }

  handle(_frame: string, piece: unknown): void {
    // Nothing was asked for.
    if (!this.#isTaken || !(piece instanceof Uint8Array)) return;
    // Only an empty file has a piece of nothing.
    if (piece.length === 0 && this.size > 0) return;
    this.#received += piece.length;
    if (this.#received > this.size)
      return this.#stop(new LumameshError('FILE_FAILED', 'larger than it said'));
    this.#pieces.push(piece as Uint8Array<ArrayBuffer>);
    const isDone = this.#received === this.size;
    if (this.#pieces.length >= PIECES_PER_BLOB) {
      this.#blobs.push(new Blob(this.#pieces));
      this.#pieces = [];
    }
    if (isDone) {
      this.#say('done');
      this.#done.resolve(new Blob([...this.#blobs, ...this.#pieces], { type: this.type }));
    }
    this.#onProgress?.(this.#received, this.size);
  }

  fail(error: LumameshError): void {
    this.#isTaken = true;
    this.#blobs = this.#pieces = [];
    this.#done.reject(error);
  }

  #stop(error: LumameshError): void {
    this.#say('fileStop');
    this.fail(error);
  }
}
