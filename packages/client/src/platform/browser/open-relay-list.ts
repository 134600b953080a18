import { LumameshError, expectThat, expectType, fromBase64Url } from '@lumamesh/base';
import { type WebCrypto, decodeSignedList, verifySignedList } from '@lumamesh/protocol';
import { anyEd25519 } from './verify-ed25519.ts';

const KEY_BYTES = 32;

/**
 * Reads a signed list of relays, and returns its lines, for `connect({ relays })`.
 * @param list its text, at most 1 MB
 * @param keys who may have signed it: an Ed25519 key, 43 characters of base64url, or several
 * @throws `RELAY_LIST_FORGED` (malformed, or signed by none of them), `RELAY_LIST_EXPIRED`,
 *   `RELAY_LIST_UNVERIFIED` (this browser cannot check the signature), `BAD_ARGUMENT`
 */
export async function openRelayList(
  list: string,
  keys: string | readonly string[],
): Promise<readonly string[]> {
  expectType('openRelayList: list', list, 'string');
  const raw = [keys].flat().map((key) => {
    const bytes = typeof key === 'string' ? fromBase64Url(key) : null;
    const isKey = bytes?.length === KEY_BYTES;
    expectThat(isKey, 'openRelayList: keys', '43 characters of base64url each', key);
    return bytes;
  });
  const read = decodeSignedList(list);
  const lines = read.ok
    ? await verifySignedList(
        read.value,
        raw,
        Date.now() / 1000,
        anyEd25519(globalThis.crypto as unknown as WebCrypto),
      )
    : read;
  if (lines.ok) return lines.value;
  const { drop } = lines;
  if (drop === 'list.expired')
    throw new LumameshError(
      'RELAY_LIST_EXPIRED',
      'the list of relays has expired: take a newer one',
    );
  if (drop === 'list.unknown')
    throw new LumameshError(
      'RELAY_LIST_UNVERIFIED',
      'this browser cannot check who signed the list',
    );
  throw new LumameshError(
    'RELAY_LIST_FORGED',
    `the list of relays is not signed by these keys (${drop})`,
  );
}
