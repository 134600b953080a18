import { LumameshError } from '@lumamesh/base';
import {
  type Deliver,
  type Frame,
  type FrameSink,
  MAX_FRAME_BYTES,
  MAX_PENDING_BYTES,
  MAX_TAG_LENGTH,
  type SendOptions,
  type ValueCodec,
  type ValueInbox,
  type ValueOutbox,
  isLarge,
  parseValue,
  readUnordered,
  sendUnordered,
  tooMuchPending,
} from './peer-frame.ts';

/** Sends values that fit into a frame, and keeps those that come before the connection is open. */
class SmallValueOutbox implements ValueOutbox {
  #frames: Frame[] = [];
  pendingBytes = 0;

  send(
    sink: FrameSink,
    tag: string,
    frame: Frame,
    { reliable = true }: SendOptions,
  ): Promise<boolean> {
    if (isLarge(frame))
      throw new LumameshError(
        'MESSAGE_TOO_LARGE',
        `a message has at most ${MAX_FRAME_BYTES} bytes`,
      );
    if (!reliable) return sendUnordered(sink, tag, frame);
    if (this.pendingBytes + sink.bufferedAmount + frame.length > MAX_PENDING_BYTES)
      throw tooMuchPending();
    if (tag !== '') this.#frames.push(`t${tag}`);
    this.#frames.push(frame);
    this.pendingBytes += frame.length;
    this.pump(sink);
    return Promise.resolve(true);
  }

  pump(sink: FrameSink): void {
    if (!sink.isOpen) return;
    for (const frame of this.#frames.splice(0)) sink.send(frame, true);
    this.pendingBytes = 0;
  }

  restart(): void {
    // Nothing is ever half sent.
  }

  close(): void {
    this.#frames = [];
  }
}

/** Reads values that fit into a frame, and passes over larger ones. */
class SmallValueInbox implements ValueInbox {
  readonly #deliver: Deliver;
  #tag = '';
  #skippedBytes = 0;

  constructor(deliver: Deliver) {
    this.#deliver = deliver;
  }

  handleFrame(data: unknown, isOrdered: boolean): void {
    if (!isOrdered) return readUnordered(data, this.#deliver);
    if (data instanceof ArrayBuffer) {
      const bytes = new Uint8Array(data);
      if (this.#skippedBytes <= 0) return this.#finish(bytes);
      this.#skippedBytes -= bytes.length;
      if (this.#skippedBytes <= 0) this.#tag = '';
    } else if (typeof data === 'string') {
      const rest = data.slice(1);
      if (data[0] === 'j') this.#finish(parseValue(rest));
      if (data[0] === 't') this.#tag = rest.slice(0, MAX_TAG_LENGTH);
      if (data[0] === 'f') this.#skippedBytes = Number(rest.slice(1));
      if (data[0] === 'x') this.#skippedBytes = 0;
    }
  }

  #finish(value: unknown): void {
    const tag = this.#tag;
    this.#tag = '';
    // What is no JSON.
    if (value !== undefined) this.#deliver(tag, value, true);
  }
}

/** Values that fit into a frame: what `lumamesh/core` has. */
export const SMALL_VALUES: ValueCodec = {
  outbox: () => new SmallValueOutbox(),
  inbox: (deliver) => new SmallValueInbox(deliver),
};
