import type { DialBackResult, SignedRelayRecord } from '@lumamesh/protocol';
import type { AskResult } from '../../core/reachability.ts';
import { probeRelay } from '../check/relay-probe.ts';
import { isSignedRecord } from '../record.ts';

/** What is lost on the way is sent again within this. */
const SILENCE_MS = 5000;
const ANSWER_MS = 6000;
/** Whom it dials may be silent. */
const DIALLED_BACK_MS = 25_000;
/** Who asks does not wait for ever. */
const MAX_SLOWNESS = 2;

/**
 * Dials the relay of a record, at the address that it asks from, as a browser would: whoever else
 * is there is not reached. Never rejects.
 */
export async function dialBack(
  record: SignedRelayRecord,
  address: string,
  signal?: AbortSignal,
): Promise<DialBackResult> {
  if (!isSignedRecord(record)) return 'unknown';
  const { result, stages, isSilent } = await probeRelay(record, {
    address,
    silenceMs: SILENCE_MS,
    answerMs: ANSWER_MS,
    maxSlowness: MAX_SLOWNESS,
    ...(signal === undefined ? {} : { signal }),
  });
  // Its credentials were answered, and then nothing more: it may be slow, and is no stranger.
  if (result === 'unknown' || (isSilent && stages.length > 0)) return 'unknown';
  return result === 'dead' ? 'unreached' : 'reached';
}

/**
 * Asks a relay to dial ours back, from a port that has nothing to do with the one that is dialled:
 * a firewall that lets replies in lets this in only where it is open. Never rejects.
 */
export async function askToDialBack(
  helper: SignedRelayRecord,
  own: SignedRelayRecord,
  localAddress: string | undefined,
  signal?: AbortSignal,
): Promise<AskResult> {
  const { dialledBack } = await probeRelay(helper, {
    dialBack: own,
    silenceMs: SILENCE_MS,
    answerMs: DIALLED_BACK_MS,
    maxSlowness: MAX_SLOWNESS,
    ...(localAddress === undefined ? {} : { localAddress }),
    ...(signal === undefined ? {} : { signal }),
  });
  return dialledBack === null
    ? { type: 'noAnswer' }
    : { type: dialledBack.result, address: dialledBack.address };
}
