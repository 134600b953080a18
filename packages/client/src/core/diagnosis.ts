import { LumameshError } from '@lumamesh/base';

/** Seen of a single relay, and true of all: there is no need to try the others. */
const DECISIVE = ['WEBRTC_MISSING', 'WEBRTC_BLOCKED_BY_POLICY', 'LOCAL_NETWORK_DENIED'];

/** Why no relay can be used, from the last error of each that was tried. */
export function diagnose(errors: readonly LumameshError[]): LumameshError {
  const last = errors.at(-1);
  const decisive = errors.find(({ code }) => DECISIVE.includes(code));
  if (decisive !== undefined) return decisive;
  if (last !== undefined && errors.every(({ code }) => code === last.code) && last.code === 'RELAY_FORGED') return last;
  return new LumameshError('RELAYS_UNREACHABLE', `no relay can be reached; the last one: ${last?.message ?? 'none was tried'}`, { cause: last });
}
