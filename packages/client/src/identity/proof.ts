import { LumameshError, bytesEqual, fromBase64Url, toBase64Url } from '@lumamesh/base';
import { type WebCrypto, type WebCryptoKeyPair, hkdf } from '@lumamesh/protocol';
import { PEER_KEY_BYTES } from '../room/peer-identity.ts';
import { PROOF_KEY_ALGORITHM, exportPublic, makeProofKeys } from './identity-keys.ts';
import { PageIdentity, identityIdOf } from './page-identity.ts';

/*
 * How a page shows one peer who it is beyond its visit (docs/wire-protocol.md, "Proof of an
 * identity"): requests that the verifier's page answers.
 *
 *   prover                                        verifier
 *     lumamesh.challenge  ─────────────────────▶
 *                         ◀─────────────────────    E, the public half of a fresh ECDH pair (e, E)
 *     lumamesh.proof { key: S, proof: P }  ────▶
 *                         ◀─────────────────────    whether P is right
 *
 * P comes of ECDH(s, E) = ECDH(e, S), S being the prover's long-lived key, and of the room, both
 * peers and both keys. Only who has s or e can make it: it convinces who has just made e, and
 * nobody else, for the verifier could have made it itself. Made for one peer it is of no use to
 * another, and e is used once.
 */
const SALT = 'lumamesh identity 1';
const CHALLENGE = 'lumamesh.challenge';
const PROOF = 'lumamesh.proof';

/** A peer that can be asked: one of `lumamesh`, or of the feature `requests`. */
export interface ProofPeer {
  readonly id: string;
  request(
    name: string,
    value?: unknown,
    options?: { readonly timeoutMs?: number },
  ): Promise<unknown>;
}

/** A room whose members can be asked. */
export interface ProofRoom<Peer extends ProofPeer = ProofPeer> {
  readonly name: string;
  readonly selfId: string;
  answer(name: string, handler: (value: unknown, peer: Peer) => unknown): () => void;
}

export interface ProveOptions {
  /** For each of both requests. Default 30 000. */
  readonly timeoutMs?: number;
}

/**
 * Shows a peer which identity this page has: its `id`, and nothing that the peer could show to
 * others. Nobody else hears of it, and no peer unless this is called.
 *
 * Rejects with `NO_HANDLER` when the other page does not ask for identities ({@link
 * watchIdentities}), with `REQUEST_TIMEOUT`, `REQUEST_FAILED`, `PEER_CLOSED`, and `BAD_IDENTITY`.
 * @returns whether the other page is convinced
 */
export async function proveIdentity(
  crypto: WebCrypto,
  identity: PageIdentity,
  room: Pick<ProofRoom, 'name' | 'selfId'>,
  peer: ProofPeer,
  options: ProveOptions = {},
): Promise<boolean> {
  if (!(identity instanceof PageIdentity))
    throw new LumameshError('BAD_IDENTITY', 'proveIdentity: that is no identity');
  const challenge = await peer.request(CHALLENGE, null, options);
  const key = await exportPublic(crypto.subtle, identity._proofKeys);
  const context = { room: room.name, prover: room.selfId, verifier: peer.id };
  const proof = await makeProof(crypto, identity._proofKeys, key, challenge, context, false);
  // Not a point of the curve: a page that asks for this is not to be convinced of anything.
  if (proof === null) return false;
  const value = { key: toBase64Url(key), proof: toBase64Url(proof) };
  return (await peer.request(PROOF, value, options)) === true;
}

/**
 * Hears which members show who they are. A page may watch a room once; what it learns holds for
 * that peer, as long as it is there.
 * @returns ends it
 */
export function watchIdentities<Peer extends ProofPeer>(
  crypto: WebCrypto,
  room: ProofRoom<Peer>,
  onIdentity: (peer: Peer, id: string) => void,
): () => void {
  if (typeof onIdentity !== 'function')
    throw new LumameshError('BAD_ARGUMENT', 'watchIdentities: onIdentity must be function');
  /** What peers were asked with last. */
  const asked = new WeakMap<Peer, WebCryptoKeyPair>();
  const stops = [
    room.answer(CHALLENGE, async (_value, peer) => {
      const pair = await makeProofKeys(crypto.subtle, false);
      asked.set(peer, pair);
      return toBase64Url(await exportPublic(crypto.subtle, pair));
    }),
    room.answer(PROOF, async (value, peer) => {
      const pair = asked.get(peer);
      asked.delete(peer);
      if (pair === undefined) return false;
      const { key, proof } = (value ?? {}) as { readonly key?: unknown; readonly proof?: unknown };
      const context = { room: room.name, prover: peer.id, verifier: room.selfId };
      const own = await exportPublic(crypto.subtle, pair);
      const expected = await makeProof(crypto, pair, own, key, context, true);
      const given = typeof proof === 'string' ? fromBase64Url(proof) : null;
      if (expected === null || given === null || !bytesEqual(given, expected)) return false;
      const id = await identityIdOf(crypto, fromBase64Url(key as string) ?? own);
      // What the page's listener throws is no answer to the other page.
      queueMicrotask(() => onIdentity(peer, id));
      return true;
    }),
  ];
  return () => {
    for (const stop of stops) stop();
  };
}

interface ProofContext {
  readonly room: string;
  readonly prover: string;
  readonly verifier: string;
}

/** `null` for another side's key that is none. */
async function makeProof(
  { subtle }: WebCrypto,
  { privateKey }: WebCryptoKeyPair,
  ownKey: Uint8Array<ArrayBuffer>,
  otherKey: unknown,
  { room, prover, verifier }: ProofContext,
  isVerifier: boolean,
): Promise<Uint8Array<ArrayBuffer> | null> {
  const raw = typeof otherKey === 'string' ? fromBase64Url(otherKey) : null;
  // One spelling for each point: another one would be another id.
  if (raw?.length !== PEER_KEY_BYTES || raw[0] !== 4) return null;
  const keys = [ownKey, raw].map(toBase64Url);
  if (isVerifier) keys.reverse();
  const info = [SALT, room.normalize('NFC'), prover, verifier, ...keys].join('\n');
  try {
    const publicKey = await subtle.importKey('raw', raw, PROOF_KEY_ALGORITHM, false, []);
    const algorithm = { name: 'ECDH', public: publicKey };
    const shared = new Uint8Array(await subtle.deriveBits(algorithm, privateKey, 256));
    return await (
      await hkdf(subtle, shared, SALT)
    )(info);
  } catch {
    return null;
  }
}
