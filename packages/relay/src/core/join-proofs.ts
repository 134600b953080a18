import type { JoinProof } from '@lumamesh/protocol';

/** What a relay needs to have peers prove their ids (docs/wire-protocol.md, "Joining"). */
export interface JoinProofs {
  /** A text that nobody can foresee, base64url: made for each session. */
  challenge(): string;
  /** Whether the key's hash is the peer's id, and the key has signed the text. */
  verify(peer: string, proof: JoinProof, text: string): boolean;
}
