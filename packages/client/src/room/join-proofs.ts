import { dropOldest } from '@lumamesh/base';
import type { JoinProof } from '@lumamesh/protocol';

/** Relays whose challenges are remembered; more than a page holds. */
const MAX_PROOFS = 32;

/** What shows relays that the peer's id is this page's own, made once for each challenge. */
export class JoinProofs {
  /** By relay: what it has asked, and the answer once it is signed. */
  readonly #proofs = new Map<
    string,
    { readonly challenge: string; readonly proof: JoinProof | null }
  >();

  /**
   * Returns the proof for a relay's challenge, or `null` before it is signed.
   * @param sign makes it; rejects never
   * @param onReady called when a proof that was `null` is there
   */
  _for(
    relay: string,
    challenge: string,
    sign: () => Promise<JoinProof | null>,
    onReady: () => void,
  ): JoinProof | null {
    const known = this.#proofs.get(relay);
    if (known?.challenge === challenge) return known.proof;
    this.#proofs.set(relay, { challenge, proof: null });
    dropOldest(this.#proofs, MAX_PROOFS);
    void sign().then((proof) => {
      if (this.#proofs.get(relay)?.challenge !== challenge) return;
      this.#proofs.set(relay, { challenge, proof });
      onReady();
    });
    return null;
  }
}
