const SETUP = /a=setup:(active|passive)/;

/**
 * An answer to who restarts ICE, with the DTLS role that the answering side has. The association is
 * there and keeps its roles (RFC 8842 §5.4); but Firefox answers as if it began one, and Chromium
 * refuses what changes a role.
 *
 * @param agreed what was described before, of this side and of the other one
 */
export function keepDtlsRole(
  answer: string,
  agreed: readonly [own: string, other: string],
): string {
  const [own, other] = agreed.map((sdp) => SETUP.exec(sdp)?.[1]);
  // Who had offered left the choice ("actpass") to the other one.
  const role = other ?? (own === 'active' ? 'passive' : own === 'passive' ? 'active' : undefined);
  return role === undefined ? answer : answer.replaceAll(new RegExp(SETUP, 'g'), `a=setup:${role}`);
}
