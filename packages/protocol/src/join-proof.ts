/*
 * How a peer shows a relay that an id is its own (docs/wire-protocol.md, "Joining"): a signature by
 * the key whose hash the id is, over what this relay has asked of this session. It serves nowhere
 * else.
 */

/** Of a raw P-256 point (65 bytes) and a signature in IEEE P1363 (64), as base64url. */
export const JOIN_KEY_LENGTH = 87;
export const JOIN_SIGNATURE_LENGTH = 86;

export interface JoinProof {
  /** The peer's public key: base64url of the uncompressed point. */
  readonly key: string;
  /** ECDSA with SHA-256 over {@link joinProofText}: base64url. */
  readonly signature: string;
}

/** What is signed. `nk` is the relay's, `challenge` what its `welcome` says. */
export function joinProofText(nk: string, challenge: string, room: string, peer: string): string {
  return `lumamesh join 1\n${nk}\n${challenge}\n${room}\n${peer}`;
}

/** A proof by its form; nothing is verified. */
export function isJoinProof(value: unknown): value is JoinProof {
  if (typeof value !== 'object' || value === null) return false;
  const { key, signature } = value as Record<string, unknown>;
  return isText(key, JOIN_KEY_LENGTH) && isText(signature, JOIN_SIGNATURE_LENGTH);
}

function isText(value: unknown, length: number): boolean {
  return typeof value === 'string' && value.length === length && /^[\w-]*$/.test(value);
}
