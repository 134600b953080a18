import type { Transmit } from '@lumamesh/base';
import type { Remote } from '../five-tuple.ts';

/** A datagram for a five-tuple that was heard from. */
export interface TurnOutput extends Transmit {
  readonly remote: Remote;
}
