/**
 * What two browsers tell each other to connect, inside a sealed signal. Checked as far as the
 * browser does not do it: the other one is a stranger.
 */
export interface PeerSignal {
  /** Names the sender's connection attempt; a new one means that it began anew. */
  readonly attempt: string;
  /**
   * The attempt of the receiver that this is meant for, once it is known; without it an offer opens
   * a new one.
   */
  readonly to?: string;
  readonly description?: {
    readonly type: 'offer' | 'answer' | 'rollback' | 'pranswer';
    readonly sdp: string;
  };
  readonly candidates?: readonly SignalCandidate[];
  /** What the sender's features have put to its description; nobody has looked at it yet. */
  readonly more?: unknown;
  /** The receiver was sent away, and is to leave the sender alone. */
  readonly bye?: true;
}

/** Says that the receiver was sent away. */
export const BYE: PeerSignal = { attempt: '', bye: true };

export interface SignalCandidate {
  readonly candidate: string;
  readonly sdpMid: string | null;
  readonly sdpMLineIndex: number | null;
}

const MAX_CANDIDATES = 64;
const MAX_CANDIDATE_LENGTH = 1024;
/**
 * What browsers may have to do for a description, in steps during which a page does nothing. Firefox
 * needs the square of the lines of a section, the cube of its codecs (`rtpmap`: 2.7 s for 1000), and
 * the square of all `msid`; Chromium the square of the sections, each of which becomes a transceiver
 * that it keeps, and of what a BUNDLE group names (2.2 s for 50 000). 64 sections of video by
 * Chromium come to 1.6 million.
 */
const MAX_COST = 8e6;

/**
 * A signal, or `null`. How long it may be is the relay's limit of a frame; descriptions and
 * candidates are read by the browser, which throws at rubbish.
 */
export function parsePeerSignal(value: unknown): PeerSignal | null {
  const { attempt, to, description, candidates, bye } = fieldsOf(value);
  if (
    (bye !== undefined && bye !== true) ||
    typeof attempt !== 'string' ||
    attempt.length > 64 ||
    (to !== undefined && typeof to !== 'string')
  )
    return null;
  const { type, sdp } = fieldsOf(description);
  if (
    description !== undefined &&
    ((type !== 'offer' && type !== 'answer') || typeof sdp !== 'string' || hasTooMuch(sdp))
  )
    return null;
  if (
    candidates !== undefined &&
    !(
      Array.isArray(candidates) &&
      candidates.length <= MAX_CANDIDATES &&
      candidates.every(isCandidate)
    )
  )
    return null;
  // Each field was looked at above.
  return value as PeerSignal;
}

function hasTooMuch(sdp: string): boolean {
  const sections = sdp.split(/[\r\n]m=/);
  const [session = ''] = sections;
  const cost = sections.reduce(
    (sum, section) =>
      sum + section.split(/[\r\n]+/).length ** 2 + section.split(/rtpmap/i).length ** 3 / 8,
    100 * sections.length ** 2 + session.length ** 2 / 8 + sdp.split(/msid/i).length ** 2,
  );
  return cost > MAX_COST;
}

function isCandidate(value: unknown): boolean {
  const { candidate } = fieldsOf(value);
  return typeof candidate === 'string' && candidate.length <= MAX_CANDIDATE_LENGTH;
}

/** The fields of whatever somebody has sent. */
export function fieldsOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
