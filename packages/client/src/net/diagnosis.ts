import { LumameshError } from '@lumamesh/base';

/** Why no relay can be used, from the last error of each that was tried. */
export function diagnose(errors: readonly LumameshError[]): LumameshError {
  // Seen of a single relay, and true of all: there is no need to try the others.
  const decisive = errors.find(({ code }) => code.startsWith('WEBRTC_'));
  const cause = decisive ?? errors.find(({ code }) => code !== 'RELAY_FORGED') ?? errors[0];
  if (
    cause !== undefined &&
    (cause === decisive || ['RELAY_FORGED', 'RELAY_LIST_FAILED'].includes(cause.code))
  )
    return cause;
  return new LumameshError(
    'RELAYS_UNREACHABLE',
    `no relay can be reached: ${cause?.message ?? ''}`,
    { cause },
  );
}
