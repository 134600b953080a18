/** What two browsers tell each other to connect, inside a sealed signal. Checked field by field: the other one is a stranger. */
export interface PeerSignal {
  /** Names the sender's connection attempt; a new one means that it began anew. */
  readonly attempt: string;
  /** The attempt of the receiver that this is meant for, once it is known; without it an offer opens a new one. */
  readonly to?: string;
  readonly description?: { readonly type: 'offer' | 'answer' | 'rollback' | 'pranswer'; readonly sdp: string };
  readonly candidates?: readonly SignalCandidate[];
}

export interface SignalCandidate {
  readonly candidate: string;
  readonly sdpMid: string | null;
  readonly sdpMLineIndex: number | null;
}

const MAX_CANDIDATES = 64;
const MAX_SDP_LENGTH = 16_384;
const MAX_TEXT_LENGTH = 1024;

export function parsePeerSignal(value: unknown): PeerSignal | null {
  if (typeof value !== 'object' || value === null) return null;
  const { attempt, to, description, candidates } = value as Record<string, unknown>;
  if (typeof attempt !== 'string' || attempt.length > 64 || (to !== undefined && typeof to !== 'string')) return null;
  const parsedDescription = description === undefined ? undefined : parseDescription(description);
  const parsedCandidates = candidates === undefined ? undefined : parseCandidates(candidates);
  if (parsedDescription === null || parsedCandidates === null) return null;
  return {
    attempt,
    ...(to === undefined ? {} : { to }),
    ...(parsedDescription === undefined ? {} : { description: parsedDescription }),
    ...(parsedCandidates === undefined ? {} : { candidates: parsedCandidates }),
  };
}

function parseDescription(value: unknown): PeerSignal['description'] | null {
  if (typeof value !== 'object' || value === null) return null;
  const { type, sdp } = value as Record<string, unknown>;
  if ((type !== 'offer' && type !== 'answer') || typeof sdp !== 'string' || sdp.length > MAX_SDP_LENGTH) return null;
  return { type, sdp };
}

function parseCandidates(value: unknown): readonly SignalCandidate[] | null {
  if (!Array.isArray(value) || value.length > MAX_CANDIDATES) return null;
  const candidates: SignalCandidate[] = [];
  for (const item of value as unknown[]) {
    if (typeof item !== 'object' || item === null) return null;
    const { candidate, sdpMid, sdpMLineIndex } = item as Record<string, unknown>;
    const isText = typeof candidate === 'string' && candidate.length <= MAX_TEXT_LENGTH;
    const isMid = sdpMid === null || (typeof sdpMid === 'string' && sdpMid.length <= MAX_TEXT_LENGTH);
    const isIndex = sdpMLineIndex === null || typeof sdpMLineIndex === 'number';
    if (!isText || !isMid || !isIndex) return null;
    candidates.push({ candidate, sdpMid, sdpMLineIndex });
  }
  return candidates;
}
