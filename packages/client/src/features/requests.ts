import { LumameshError } from '@lumamesh/base';
import type { Platform } from '../platform.ts';

/** What answers requests of a name. What it throws, the asking side hears of as REQUEST_FAILED, with the message of a LumameshError only. */
export type RequestHandler<P> = (value: unknown, peer: P) => unknown;

export interface RequestOptions {
  /** Default 30 000. */
  readonly timeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = 30_000;
/** Requests of one peer that are being answered at the same time. */
const MAX_OPEN = 256;

interface Open {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: LumameshError) => void;
  readonly cancelTimer: () => void;
}

/**
 * Questions to a peer and their answers, under the tags
 * `q<number> <name>` a question, `r<number>` its answer, `e<number>` that there is none, with `[code, message]`.
 */
export class Requests<P> {
  readonly #platform: Platform;
  readonly #send: (tag: string, value: unknown) => void;
  readonly #handlers: ReadonlyMap<string, RequestHandler<P>>;
  readonly #open = new Map<string, Open>();
  #next = 0;
  #answering = 0;

  constructor(
    platform: Platform,
    handlers: ReadonlyMap<string, RequestHandler<P>>,
    send: (tag: string, value: unknown) => void,
  ) {
    this.#platform = platform;
    this.#handlers = handlers;
    this.#send = send;
  }

  async ask(
    name: string,
    value: unknown,
    { timeoutMs = DEFAULT_TIMEOUT_MS }: RequestOptions,
  ): Promise<unknown> {
    const id = String(this.#next);
    this.#next += 1;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const cancelTimer = this.#platform.setTimer(timeoutMs, () =>
      this.#end(
        id,
        new LumameshError('REQUEST_TIMEOUT', `no answer to ${name} in ${timeoutMs} ms`),
      ),
    );
    this.#open.set(id, { resolve, reject, cancelTimer });
    try {
      this.#send(`q${id} ${name}`, value);
    } catch (error) {
      cancelTimer();
      this.#open.delete(id);
      throw error;
    }
    return promise;
  }

  /** False for tags that are none of these. */
  handle(tag: string, value: unknown, peer: P): boolean {
    const id = tag.slice(1);
    if (tag[0] === 'q') {
      const at = id.indexOf(' ');
      void this.#answer(id.slice(0, at), id.slice(at + 1), value, peer);
    } else if (tag[0] === 'r') this.#end(id, null, value);
    else if (tag[0] === 'e') {
      const [code, message] = Array.isArray(value) ? (value as unknown[]) : [];
      this.#end(
        id,
        new LumameshError(
          code === 'NO_HANDLER' ? code : 'REQUEST_FAILED',
          typeof message === 'string' ? message : '',
        ),
      );
    } else return false;
    return true;
  }

  /** The peer is gone. */
  close(): void {
    for (const id of [...this.#open.keys()])
      this.#end(id, new LumameshError('PEER_CLOSED', 'the peer left before it answered'));
  }

  #end(id: string, error: LumameshError | null, value?: unknown): void {
    const open = this.#open.get(id);
    this.#open.delete(id);
    open?.cancelTimer();
    if (error === null) open?.resolve(value);
    else open?.reject(error);
  }

  async #answer(id: string, name: string, value: unknown, peer: P): Promise<void> {
    if (this.#answering >= MAX_OPEN) return;
    this.#answering += 1;
    try {
      const handler = this.#handlers.get(name);
      if (handler === undefined) throw new LumameshError('NO_HANDLER', `nobody answers ${name}`);
      this.#send(`r${id}`, (await handler(value, peer)) ?? null);
    } catch (error) {
      // What went wrong in here is told to nobody outside, unless it was meant to be.
      const known =
        error instanceof LumameshError
          ? error
          : new LumameshError('REQUEST_FAILED', 'the handler threw');
      try {
        this.#send(`e${id}`, [known.code, known.message]);
      } catch {
        // The peer is gone.
      }
    } finally {
      this.#answering -= 1;
    }
  }
}
