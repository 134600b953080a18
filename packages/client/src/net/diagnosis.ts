import { LumameshError } from '@lumamesh/base';

/** Why no relay can be used, from the last error of each that was tried. */
export function diagnose(errors: readonly LumameshError[]): LumameshError {
  const first = (codes: RegExp): LumameshError | undefined =>
    errors.find(({ code }) => codes.test(code));
  // Seen of a single relay, and true of all: there is no need to try the others.
  const decisive = first(/^WEBRTC_/) ?? first(/^RELAY_LIST_FAILED$/);
  // Relays that are merely silent may be back, whatever the others are.
  const silent = first(/^(?!RELAY_(FORGED|HANDSHAKE_FAILED|PRIVATE)$|ACCESS_DENIED$)/);
  const cause = silent ?? first(/HANDSHAKE|DENIED/) ?? first(/./);
  const verdict = decisive ?? (silent === undefined ? cause : undefined);
  return (
    verdict ??
    new LumameshError('RELAYS_UNREACHABLE', `no relay can be reached: ${cause?.message ?? ''}`, {
      cause,
    })
  );
}
