import { LumameshError, expectNumber, expectType } from '@lumamesh/base';
import { checkSignal } from '../options.ts';
import type { Api, Feature, PeerHandle, PeerPart } from '../feature.ts';
import { checkName } from './actions.ts';
import { type Warn, warnBy } from './warn.ts';

/**
 * What answers requests of a name. What it throws, the asking side hears of as REQUEST_FAILED, with
 * the message of a LumameshError only; `logger.warn` hears the rest.
 */
export type RequestHandler<Peer = unknown> = (value: unknown, peer: Peer) => unknown;

export interface RequestOptions {
  /** Default 30 000; `Infinity`: until the peer is gone. */
  readonly timeoutMs?: number;
  /** Gives it up. */
  readonly signal?: AbortSignal;
}

export interface RequestsRoom<Peer> {
  /**
   * Answers `peer.request(name, …)` of the others. One handler for each name.
   * Throws `BAD_ACTION_NAME`.
   * @returns A function that ends it.
   */
  answer(name: string, handler: RequestHandler<Peer>): () => void;
}

export interface RequestsPeer {
  /**
   * Asks the peer what its page answers with `room.answer(name, …)`. Rejects with
   * `REQUEST_TIMEOUT`, `REQUEST_FAILED` (the other side threw), `REQUEST_CANCELLED` (`signal`),
   * `NO_HANDLER`, or `PEER_CLOSED`.
   */
  request<Answer = unknown>(
    name: string,
    value?: unknown,
    options?: RequestOptions,
  ): Promise<Answer>;
  /** Measures the round-trip time to the peer, in ms. Rejects as {@link request} does. */
  rtt(options?: RequestOptions): Promise<number>;
}

export interface RequestsApi extends Api {
  readonly room: RequestsRoom<this['peerType']>;
  readonly peer: RequestsPeer;
}

/** Questions and answers: `room.answer`, `peer.request`, `peer.rtt`. */
export function requests(): Feature<RequestsApi> {
  let warn: Warn = () => undefined;
  return {
    name: 'requests',
    net: (net) => {
      warn = warnBy(net);
      return {};
    },
    room: () => {
      const handlers = new Map<string, RequestHandler<PeerHandle>>();
      const api: RequestsRoom<PeerHandle> = {
        answer: (name, handler) => {
          checkName(name);
          expectType('answer: handler', handler, 'function');
          // Of its own, so that who takes it back takes back nobody else's.
          const own: RequestHandler<PeerHandle> = (value, peer) => handler(value, peer);
          handlers.set(name, own);
          return () => {
            if (handlers.get(name) === own) handlers.delete(name);
          };
        },
      };
      return { api, peer: (peer) => requestsOf(peer, handlers, warn) };
    },
  };
}

const DEFAULT_TIMEOUT_MS = 30_000;
/** What timers take. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;
/** Requests of one peer that are being answered at the same time. */
const MAX_OPEN = 256;

/*
 * The frames:
 *   request <number> <name>   a question
 *   response <number>         its answer
 *   failure <number>          that there is none: [code, message]
 */
function requestsOf(
  peer: PeerHandle,
  handlers: ReadonlyMap<string, RequestHandler<PeerHandle>>,
  warn: Warn,
): PeerPart {
  const { platform } = peer;
  const open = new Map<string, (error: LumameshError | null, value?: unknown) => void>();
  let lastId = 0;
  let answering = 0;

  const ask = (name: string, value: unknown, options: RequestOptions): Promise<unknown> => {
    checkSignal('request: ', options);
    const { timeoutMs = DEFAULT_TIMEOUT_MS, signal } = options;
    expectNumber('request: timeoutMs', timeoutMs, 0, Number.POSITIVE_INFINITY);
    const id = String((lastId += 1));
    return new Promise((resolve, reject) => {
      const finish = (error: LumameshError | null, answer?: unknown): void => {
        open.delete(id);
        cancelTimer();
        signal?.removeEventListener('abort', abort);
        if (error === null) resolve(answer);
        else reject(error);
      };
      const abort = (): void =>
        finish(new LumameshError('REQUEST_CANCELLED', 'given up', { cause: signal?.reason }));
      const cancelTimer = platform.setTimer(Math.min(timeoutMs, MAX_TIMEOUT_MS), () =>
        finish(new LumameshError('REQUEST_TIMEOUT', `no answer to ${name} in ${timeoutMs} ms`)),
      );
      open.set(id, finish);
      signal?.addEventListener('abort', abort);
      if (signal?.aborted === true) return abort();
      try {
        void peer.sendFrame('request', `${id} ${name}`, value, {
          lane: 'requests',
          ...(signal ? { signal } : {}),
        });
      } catch (error) {
        finish(error as LumameshError);
      }
    });
  };

  /** Says what became of a request, to a peer that may be gone. */
  const say = (frame: string, id: string, value: unknown): void =>
    void peer.sendFrame(frame, id, value, { lane: 'requests' });

  const answer = async (argument: string, value: unknown): Promise<void> => {
    answering += 1;
    const at = argument.indexOf(' ');
    const [id, name] = [argument.slice(0, at), argument.slice(at + 1)];
    try {
      if (answering > MAX_OPEN) throw new LumameshError('REQUEST_FAILED', 'too many at once');
      const handler = handlers.get(name);
      if (handler === undefined) throw new LumameshError('NO_HANDLER', `nobody answers ${name}`);
      say('response', id, (await handler(value, peer)) ?? null);
    } catch (error) {
      // What went wrong in here is told to nobody outside, unless it was meant to be.
      const isMeant = error instanceof LumameshError;
      if (!isMeant) warn(`the handler of the request ${name} threw`, error);
      const { code, message } = isMeant
        ? error
        : new LumameshError('REQUEST_FAILED', 'the handler threw');
      try {
        say('failure', id, [code, message]);
      } catch {
        // The peer is gone.
      }
    } finally {
      answering -= 1;
    }
  };

  const api: RequestsPeer = {
    // The answer has whatever type the other page gives it: a page that must be sure checks it.
    request: async <Answer>(name: string, value: unknown = null, options: RequestOptions = {}) => {
      checkName(name);
      return (await ask(name, value, options)) as Answer;
    },
    rtt: async (options = {}) => {
      const startedAt = platform.now();
      await ask('', null, options).catch((error: unknown) => {
        // Nobody answers that name, and that is the answer.
        if (!(error instanceof LumameshError) || error.code !== 'NO_HANDLER') throw error;
      });
      return platform.now() - startedAt;
    },
  };

  const fail = (): void => {
    for (const finish of [...open.values()])
      finish(new LumameshError('PEER_CLOSED', 'the peer left before it answered'));
  };

  return {
    api,
    frames: {
      request: { handle: (value, argument) => void answer(argument, value) },
      response: { handle: (value, id) => open.get(id)?.(null, value) },
      failure: {
        handle: (value, id) => {
          const [code, message] = Array.isArray(value) ? (value as unknown[]) : [];
          open.get(id)?.(
            new LumameshError(
              code === 'NO_HANDLER' ? code : 'REQUEST_FAILED',
              typeof message === 'string' ? message : '',
            ),
          );
        },
      },
    },
    onReset: fail,
    onClose: fail,
  };
}
