import type { LumameshError } from '@lumamesh/base';
import { toError } from '../extend.ts';
import type { SendOptions } from '../peer/peer-frame.ts';
import type { Peer } from '../peer/peer.ts';
import { encodeValue } from '../peer/plain-values.ts';
import type { StructuredCodec } from '../peer/value-frames.ts';

/**
 * Sends a frame to each of those who are connected or about to be.
 * @returns whether all have it; rejects with what is the page's mistake
 */
export async function broadcast(
  peers: readonly Peer[],
  frame: string,
  argument: string,
  value: unknown,
  options: SendOptions | undefined,
  codec: StructuredCodec | undefined,
  report: (error: LumameshError) => void,
): Promise<boolean> {
  // Who is idle is to stay so until it is asked for.
  const sent = peers
    .filter(({ state }) => state !== 'idle')
    .map(async (peer) => {
      try {
        return await peer.sendFrame(frame, argument, value, options);
      } catch (error) {
        // One peer that cannot take it must not keep it from the others; a value that nobody can
        // take is the page's mistake.
        const mistake = toError(error);
        if (/^(NOT_SENDABLE|MESSAGE_TOO_LARGE|BAD_ARGUMENT)$/.test(mistake.code)) throw mistake;
        report(mistake);
        return false;
      }
    });
  // A mistake is one also while nobody is there.
  if (sent.length === 0) encodeValue(value, codec);
  return (await Promise.all(sent)).every(Boolean);
}
