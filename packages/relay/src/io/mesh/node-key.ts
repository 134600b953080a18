import { publicKeyFromRaw } from '@libp2p/crypto/keys';
import type { PeerId } from '@libp2p/interface';
import { peerIdFromPublicKey } from '@libp2p/peer-id';
import { fromBase64Url, toBase64Url } from '@lumamesh/base';

/** The libp2p identity of a node key. */
export function peerIdOf(nk: string): PeerId {
  return peerIdFromPublicKey(publicKeyFromRaw(fromBase64Url(nk) ?? new Uint8Array(0)));
}

/** The node key of a libp2p identity, or `null` when it is no Ed25519 key. */
export function nodeKeyOf(peer: PeerId): string | null {
  return peer.type === 'Ed25519' ? toBase64Url(new Uint8Array(peer.publicKey.raw)) : null;
}
