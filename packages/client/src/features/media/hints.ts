import { expectNumber, expectThat, expectType } from '@lumamesh/base';
import type { Warn } from '../warn.ts';

/** How a track is sent, and what the other page should know of it. */
export interface TrackOptions {
  /** Arrives with the track: `info.metadata`. Anything that `peer.send` takes. */
  readonly metadata?: unknown;
  /**
   * The codecs to be used, the preferred one first: `['VP9', 'H264']`. Others are used where the
   * two browsers have none of these in common. Takes effect when the track is negotiated.
   */
  readonly codecs?: readonly string[];
  /** In bits per second. */
  readonly maxBitrate?: number;
  /** In frames per second. */
  readonly maxFramerate?: number;
  /** 2 sends half the width and half the height. */
  readonly scaleResolutionDownBy?: number;
  /** What to give up first when there is too little of everything. */
  readonly degradationPreference?:
    | 'balanced'
    | 'maintain-framerate'
    | 'maintain-resolution'
    | 'maintain-framerate-and-resolution';
}

/** Throws `BAD_ARGUMENT`. */
export function checkTrackOptions(where: string, options: TrackOptions): void {
  expectType(where, options, 'object');
  expectThat(
    isTextList(options.codecs ?? []),
    `${where}.codecs`,
    'a list of names',
    options.codecs,
  );
  expectNumber(`${where}.maxBitrate`, options.maxBitrate, 1);
  expectNumber(`${where}.maxFramerate`, options.maxFramerate, 0);
  expectNumber(`${where}.scaleResolutionDownBy`, options.scaleResolutionDownBy, 1);
  expectType(
    `${where}.degradationPreference`,
    options.degradationPreference,
    'string',
    'undefined',
  );
}

function isTextList(value: unknown): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

/**
 * Asks the browser to send as the page would like it. What it does not know or refuses is no reason
 * to send nothing.
 * @param known the codecs of the browser
 */
export async function applyHints(
  transceiver: RTCRtpTransceiver,
  known: readonly RTCRtpCodec[],
  options: TrackOptions,
  warn: Warn,
): Promise<void> {
  const { maxBitrate, maxFramerate, scaleResolutionDownBy, degradationPreference } = options;
  const { sender } = transceiver;
  try {
    // An empty list: what the browser would choose. Firefox before 128 has no such method.
    transceiver.setCodecPreferences?.(orderCodecs(known, options.codecs ?? [], warn));
    const parameters = sender.getParameters();
    for (const encoding of parameters.encodings)
      Object.assign(encoding, { maxBitrate, maxFramerate, scaleResolutionDownBy });
    await sender.setParameters(Object.assign(parameters, { degradationPreference }));
  } catch (error) {
    warn('a hint for media was not taken', error);
  }
}

/** All codecs, those that are wanted first; none where none is wanted, or known. */
export function orderCodecs(
  known: readonly RTCRtpCodec[],
  wanted: readonly string[],
  warn: Warn,
): RTCRtpCodec[] {
  const names = wanted.map(nameOf).filter((name) => {
    const isKnown = known.some(({ mimeType }) => nameOf(mimeType) === name);
    if (!isKnown) warn(`this browser has no codec ${name}`);
    return isKnown;
  });
  if (names.length === 0) return [];
  const rank = ({ mimeType }: RTCRtpCodec): number => {
    const at = names.indexOf(nameOf(mimeType));
    return at < 0 ? names.length : at;
  };
  // Those that are not wanted stay: without them there may be nothing in common.
  return [...known].sort((a, b) => rank(a) - rank(b));
}

/** `video/VP9` or `VP9`. */
function nameOf(codec: string): string {
  return codec.replace(/.*\//, '').toUpperCase();
}
