import { createHash } from 'node:crypto';
import { toBase64Url } from '@lumamesh/base';
import type { SignedRelayRecord } from '@lumamesh/protocol';

export const VIRTUAL_MESH_ID = 'AAAAAAAAAAAAAAAAAAAAAA';

/** Records whose signatures are made up and remembered: good for these records and no others. */
export class VirtualRecords {
  readonly #signed = new Map<string, string>();
  #count = 0;

  /** @param unixSeconds when it is signed */
  sign(
    unixSeconds: number,
    fields: Partial<SignedRelayRecord> & { readonly nk: string; readonly ip: string },
  ): SignedRelayRecord {
    this.#count += 1;
    const record: SignedRelayRecord = {
      fingerprint: Array.from({ length: 32 }, () => 'AB').join(':'),
      port: 3478,
      ufrag: 'luma',
      pwd: '0123456789abcdef0123456789abcdef',
      sequence: unixSeconds,
      expires: unixSeconds + 365 * 86_400,
      mesh: VIRTUAL_MESH_ID,
      signature: toBase64Url(createHash('sha512').update(`signature ${this.#count}`).digest()),
      ...fields,
    };
    this.#signed.set(record.signature, JSON.stringify(canonical(record)));
    return record;
  }

  verify(record: SignedRelayRecord): boolean {
    return this.#signed.get(record.signature) === JSON.stringify(canonical(record));
  }
}

/** The fields in one order, however a record was made. */
function canonical(record: SignedRelayRecord): [string, unknown][] {
  return Object.entries(record).toSorted(([a], [b]) => (a < b ? -1 : 1));
}
