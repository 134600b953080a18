import { hkdfSync, scrypt } from 'node:crypto';
import { promisify } from 'node:util';
import { toBase64Url } from '@lumamesh/base';

/** What all relays with one MESH_SALT have in common. */
export interface MeshSecret {
  /** Stands in every record of the mesh, under its signature: base64url of 16 bytes. */
  readonly mesh: string;
  /** The pre-shared key of libp2p's private network, 32 bytes. */
  readonly psk: Uint8Array;
}

const SALT = 'lumamesh mesh 1';
/**
 * 32 MB and about 60 ms, once: a mesh id is public, and must not make a short salt easy to guess.
 */
const SCRYPT = { N: 2 ** 15, r: 8, p: 1, maxmem: 64 * 1024 * 1024 };

/**
 * Derives mesh id and private-network key of a salt; both are one-way, and neither tells the other.
 */
export async function deriveMeshSecret(salt: string): Promise<MeshSecret> {
  const derive = promisify<string, string, number, typeof SCRYPT, Buffer>(scrypt);
  const root = await derive(salt.normalize('NFC'), SALT, 32, SCRYPT);
  const expand = (info: string, bytes: number): Uint8Array =>
    new Uint8Array(hkdfSync('sha256', root, SALT, info, bytes));
  return { mesh: toBase64Url(expand('id', 16)), psk: expand('psk', 32) };
}
