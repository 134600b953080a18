import { Endings, parseJson } from '@lumamesh/base';
import type { Peer, Room } from 'lumamesh';
import { type Observable, Subject } from 'rxjs';

/* The types are those of rxdb/plugins/replication-webrtc, by their shape. */

/** A question: of a method, with its parameters. */
export interface RxdbMessage {
  readonly id: string;
  readonly method: 'token' | 'masterChangesSince' | 'masterWrite';
  readonly params: unknown[];
}

/** An answer, or news. */
export interface RxdbResponse {
  readonly id: string;
  readonly result: unknown;
}

/** What `replicateWebRTC` of RxDB asks of a network. */
export interface LumameshConnectionHandler {
  readonly connect$: Observable<Peer>;
  readonly disconnect$: Observable<Peer>;
  // RxDB's own types of these say more than strangers may be trusted with; it checks them.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly message$: Observable<{ peer: Peer; message: any }>;
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly response$: Observable<{ peer: Peer; response: any }>;
  readonly error$: Observable<never>;
  send(peer: Peer, message: object): Promise<void>;
  close(): Promise<void>;
}

/** What is used of the options of `replicateWebRTC`. */
export interface ReplicationTopic {
  readonly topic: string;
}

/**
 * For `replicateWebRTC({ connectionHandlerCreator: getConnectionHandlerLumamesh(room), … })`:
 * replicates with all members of the room who name the same topic. Closing the replication leaves
 * the room as it is.
 */
export function getConnectionHandlerLumamesh(
  room: Room,
): (options: ReplicationTopic) => Promise<LumameshConnectionHandler> {
  return async ({ topic }) => handlerOf(room, topic);
}

const METHODS: readonly unknown[] = ['token', 'masterChangesSince', 'masterWrite'];
/** The methods take two at most; engines take some ten thousand arguments of a call. */
const MAX_PARAMS = 16;

type Frame = readonly [topic: string, message: object | null];

function handlerOf(room: Room, topic: string): LumameshConnectionHandler {
  const [post, listen] = room.action<string>('rxdb');
  const connect$ = new Subject<Peer>();
  const disconnect$ = new Subject<Peer>();
  const message$ = new Subject<{ peer: Peer; message: object }>();
  const response$ = new Subject<{ peer: Peer; response: object }>();
  const error$ = new Subject<never>();
  const subjects = [connect$, disconnect$, message$, response$, error$];
  const listening = new Endings<Room | Peer>();
  /** Who replicates this topic. */
  const partners = new Set<Peer>();

  const send = async (peer: Peer, message: object | null): Promise<void> => {
    const frame: Frame = [topic, message];
    await post(JSON.stringify(frame), { to: peer });
  };
  /** `null` says that we are there. */
  const greet = (peer: Peer): void => void send(peer, null).catch(() => undefined);
  const watch = (peer: Peer): void => {
    if (peer.isOpen) greet(peer);
    listening.set(
      peer,
      peer.on('open', () => greet(peer)),
    );
  };
  const meet = (peer: Peer): void => {
    if (partners.has(peer)) return;
    partners.add(peer);
    // It may have begun after we had greeted.
    greet(peer);
    connect$.next(peer);
  };

  listening.set(
    room,
    listen((text: unknown, peer) => {
      const frame = parse(text);
      if (frame === null || frame[0] !== topic) return;
      const [, message] = frame;
      meet(peer);
      if (message === null) return;
      if (!('method' in message)) response$.next({ peer, response: message });
      else if (isQuestion(message)) message$.next({ peer, message });
    }),
    room.on('peer', watch),
    room.on('leave', (peer) => {
      listening.forget(peer);
      if (partners.delete(peer)) disconnect$.next(peer);
    }),
  );
  // RxDB listens once it has the handler.
  queueMicrotask(() => {
    for (const peer of room.peers) watch(peer);
  });
  return {
    connect$,
    disconnect$,
    message$,
    response$,
    error$,
    send,
    close: async () => {
      listening.end();
      for (const subject of subjects) subject.complete();
      partners.clear();
    },
  };
}

/** A frame of another member, or `null` for what is none. */
function parse(text: unknown): Frame | null {
  const value = parseJson(typeof text === 'string' ? text : null);
  if (!Array.isArray(value) || typeof value[0] !== 'string') return null;
  const [topic, message] = value as unknown[];
  return typeof message === 'object' ? [topic as string, message] : null;
}

/** RxDB calls whatever method is named, and nobody hears it throw. */
function isQuestion({ method, params }: Partial<Record<keyof RxdbMessage, unknown>>): boolean {
  return METHODS.includes(method) && Array.isArray(params) && params.length <= MAX_PARAMS;
}
