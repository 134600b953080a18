import type { Api, Feature } from '../../feature.ts';
import { MAX_VALUE_BYTES, ValueReceiver, ValueSender } from './value-stream.ts';

export type LargeValuesEvents = {
  /** How far a large value has come. */
  progress: [receivedBytes: number, totalBytes: number];
};

export interface LargeValuesApi extends Api {
  readonly peerEvents: LargeValuesEvents;
}

/** Values of up to 256 MB, which can be taken back while they are sent. */
export function largeValues(): Feature<LargeValuesApi> {
  return {
    name: 'largeValues',
    peer: (peer) => ({
      events: ['progress'],
      values: {
        outbox: () => new ValueSender((error) => peer.onListenerError(error)),
        inbox: (deliver, isGuarded) =>
          new ValueReceiver(
            deliver,
            (received, total) => peer.emit('progress', received, total),
            () => (isGuarded() ? 0 : MAX_VALUE_BYTES),
          ),
      },
    }),
  };
}
