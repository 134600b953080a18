import { type Decoded, decoded, dropped, isCanonicalIp } from '@lumamesh/base';
import { parseJsonObject } from './room-messages.ts';

/*
 * How a relay learns whether it is reached from outside (docs/wire-protocol.md, "Dialling back"):
 * it asks another one, over a session as any browser has, to dial it at the address that the
 * session comes from.
 */

/**
 * `reached`: a session came about as the record says. `unreached`: nobody answered there, or
 * somebody else. `unknown`: the relay that was asked could not dial.
 */
export type DialBackResult = 'reached' | 'unreached' | 'unknown';

/** The answer to a `dial-back` frame. */
export interface DialledBack {
  readonly action: 'dialled-back';
  readonly result: DialBackResult;
  /** What was dialled: where the asking session comes from. */
  readonly address: string;
}

const RESULTS: readonly unknown[] = ['reached', 'unreached', 'unknown'];

/** Reads the answer, of a relay that is not trusted. */
export function parseDialledBack(frame: string): Decoded<DialledBack> {
  const { action, result, address } = parseJsonObject(frame) ?? {};
  if (action !== 'dialled-back') return dropped('protocol.unknownAction');
  if (!RESULTS.includes(result)) return dropped('protocol.result');
  return typeof address === 'string' && isCanonicalIp(address)
    ? // One of the three, by the test above.
      decoded({ action, result: result as DialBackResult, address })
    : dropped('protocol.address');
}
