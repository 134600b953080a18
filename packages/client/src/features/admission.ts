import { LumameshError, expectType } from '@lumamesh/base';
import type { Api, Feature, PeerHandle, PeerPart } from '../feature.ts';
import { type Warn, warnBy } from './warn.ts';

const ADMISSION_TIMEOUT_MS = 15_000;
/** Values of the other side's handshake that wait for ours. */
const MAX_HELD_VALUES = 256;

/** What a handshake may use before the peer is admitted. */
export interface Handshake {
  readonly send: (value: unknown) => void;
  /** The next value of the other side's handshake. */
  readonly receive: () => Promise<unknown>;
}

export interface AdmissionOptions<Peer> {
  /**
   * Called for every peer before it counts as open: who throws here does not let it in. Both sides
   * have one, or neither. At most 15 s.
   */
  readonly handshake?: (peer: Peer, handshake: Handshake) => unknown;
}

export interface AdmissionApi extends Api {
  readonly roomOptions: AdmissionOptions<this['peerType']>;
}

/** Lets in only who passes a handshake: `joinRoom(name, { handshake })`. */
export function admission(): Feature<AdmissionApi> {
  let warn: Warn = () => undefined;
  return {
    name: 'admission',
    net: (net) => {
      warn = warnBy(net);
      return {};
    },
    room: ({ options }) => {
      const { handshake } = options as AdmissionOptions<PeerHandle>;
      expectType('joinRoom: handshake', handshake, 'function', 'undefined');
      return handshake === undefined ? {} : { peer: (peer) => admissionOf(peer, handshake, warn) };
    },
  };
}

/*
 * The frames: `handshake` a value of the handshake, `admitted` that the sender has let the receiver
 * in. Values go when both have.
 */
function admissionOf(
  peer: PeerHandle,
  handshake: NonNullable<AdmissionOptions<PeerHandle>['handshake']>,
  warn: Warn,
): PeerPart {
  /** What the other side's handshake has said; it may begin before ours. */
  const values: unknown[] = [];
  let next = Promise.withResolvers<void>();
  let ended = Promise.withResolvers<never>();
  let otherIsDone = Promise.withResolvers<void>();

  const reset = (): void => {
    ended.reject(new LumameshError('PEER_CLOSED', 'the peer left before it was let in'));
    ended = Promise.withResolvers<never>();
    otherIsDone = Promise.withResolvers<void>();
    // Whoever waits for it hears of it; until somebody does it is no unhandled rejection.
    ended.promise.catch(() => undefined);
    values.length = 0;
  };
  ended.promise.catch(() => undefined);

  const receive = async (): Promise<unknown> => {
    // Several may wait: each looks again whether what came is left for it.
    while (values.length === 0) await Promise.race([ended.promise, next.promise]);
    return values.shift();
  };

  return {
    admit: async () => {
      const cancel = peer.platform.setTimer(ADMISSION_TIMEOUT_MS, () => void peer.end('failed'));
      try {
        const send = (value: unknown): void => void peer.sendFrame('handshake', '', value);
        await handshake(peer, { send, receive });
        void peer.sendFrame('admitted', '', null);
        await Promise.race([ended.promise, otherIsDone.promise]);
      } catch (error) {
        warn('a peer was not let in', error);
        throw error;
      } finally {
        cancel();
      }
    },
    frames: {
      handshake: {
        isEarly: true,
        handle: (value) => {
          if (values.length < MAX_HELD_VALUES) values.push(value);
          next.resolve();
          next = Promise.withResolvers();
        },
      },
      admitted: { isEarly: true, handle: () => otherIsDone.resolve() },
    },
    // Another page is let in anew.
    onReset: reset,
    onClose: reset,
  };
}
