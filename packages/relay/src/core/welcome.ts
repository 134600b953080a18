import {
  LIMITS,
  PROTOCOL_VERSION,
  type RelayMessage,
  type SignedRelayRecord,
} from '@lumamesh/protocol';
import { FRAME_BURST_SECONDS } from './session-budget.ts';

/** The `welcome` frame of all sessions; each gets a challenge of its own in it. */
export function encodeWelcome(
  node: SignedRelayRecord,
  { maxRoomSize, messagesPerSecond }: { maxRoomSize: number; messagesPerSecond: number },
): string {
  const limits = {
    maxRoomSize,
    maxRoomsPerSession: LIMITS.maxRoomsPerSession,
    maxFrameBytes: LIMITS.maxFrameBytes,
    maxPresenceLength: LIMITS.maxPresenceLength,
    maxSignalLength: LIMITS.maxSignalLength,
    joinsPerSecond: LIMITS.joinsPerSecond,
    joinsBurst: LIMITS.joinsBurst,
    framesPerSecond: messagesPerSecond,
    framesBurst: messagesPerSecond * FRAME_BURST_SECONDS,
  };
  const message: RelayMessage = { action: 'welcome', version: PROTOCOL_VERSION, node, limits };
  return JSON.stringify(message);
}
