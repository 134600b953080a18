import { type Decoded, decoded, dropped, fromBase64Url, utf8Encode } from '@lumamesh/base';
import { RECORD_LINE_PREFIX } from './relay-record.ts';
import type { VerifyEd25519 } from './relay-record.ts';

/*
 * A list of relays that somebody answers for, and that is good for a time (ADR 89). It is a
 * relay.txt, so whatever reads one reads it, too:
 *
 *   # lumamesh relay list 1, made 1795824000, expires 1798416000
 *   luma1.…
 *   luma1.…
 *   # signature NvNZ…
 *
 * Times are Unix seconds. Lines end with \n. The signature (Ed25519, base64url) is over all before
 * its line; the first line keeps it from being one of something else.
 */
export interface SignedList {
  readonly madeUnixSeconds: number;
  readonly expiresUnixSeconds: number;
  /** As in a relay.txt; each record has a signature of its own, which is not checked here. */
  readonly lines: readonly string[];
  /** What is signed. */
  readonly text: string;
  readonly signature: Uint8Array<ArrayBuffer>;
}

/** In UTF-16 units; all of it is ASCII. Some 1 500 relays. */
export const MAX_SIGNED_LIST_LENGTH = 1_048_576;
/** Who embeds a list that is good for longer takes the line of a relay instead. */
export const MAX_SIGNED_LIST_SECONDS = 366 * 86_400;

const HEAD = /^# lumamesh relay list 1, made ([1-9]\d{0,14}), expires ([1-9]\d{0,14})$/;
const SIGNATURE = '# signature ';
const SIGNATURE_BYTES = 64;
const LINE = new RegExp(`^${RECORD_LINE_PREFIX.replace('.', '\\.')}[\\w-]+$`);

/** What is to be signed. Lines are taken as they are. */
export function listToSign(
  lines: readonly string[],
  madeUnixSeconds: number,
  expiresUnixSeconds: number,
): string {
  const head = `# lumamesh relay list 1, made ${madeUnixSeconds}, expires ${expiresUnixSeconds}`;
  return [head, ...lines, ''].join('\n');
}

export function encodeSignedList(text: string, signature: string): string {
  return `${text}${SIGNATURE}${signature}\n`;
}

/** Reads one; whether it is signed, and still good, is for {@link verifySignedList}. */
export function decodeSignedList(list: string): Decoded<SignedList> {
  if (list.length > MAX_SIGNED_LIST_LENGTH) return dropped('list.tooLong');
  const at = list.lastIndexOf(`\n${SIGNATURE}`) + 1;
  if (at === 0 || !list.endsWith('\n')) return dropped('list.unsigned');
  const signature = fromBase64Url(list.slice(at + SIGNATURE.length, -1));
  if (signature?.length !== SIGNATURE_BYTES) return dropped('list.signature');
  const text = list.slice(0, at);
  const [head = '', ...lines] = text.slice(0, -1).split('\n');
  const [, made, expires] = HEAD.exec(head) ?? [];
  if (made === undefined || expires === undefined) return dropped('list.head');
  const [madeUnixSeconds, expiresUnixSeconds] = [Number(made), Number(expires)];
  const seconds = expiresUnixSeconds - madeUnixSeconds;
  if (seconds <= 0 || seconds > MAX_SIGNED_LIST_SECONDS) return dropped('list.times');
  if (lines.length === 0 || !lines.every((line) => LINE.test(line))) return dropped('list.line');
  return decoded({ madeUnixSeconds, expiresUnixSeconds, lines, text, signature });
}

/**
 * Whether one of these keys (32 bytes) signed it, and it is still good. `list.unknown`: nobody can
 * tell, since the platform has no Ed25519.
 */
export async function verifySignedList(
  list: SignedList,
  keys: readonly Uint8Array<ArrayBuffer>[],
  nowUnixSeconds: number,
  verifyEd25519: VerifyEd25519<boolean | null>,
): Promise<Decoded<readonly string[]>> {
  const data = utf8Encode(list.text);
  const answers = await Promise.all(keys.map((key) => verifyEd25519(key, list.signature, data)));
  if (!answers.includes(true))
    return dropped(answers.includes(null) ? 'list.unknown' : 'list.forged');
  return nowUnixSeconds < list.expiresUnixSeconds ? decoded(list.lines) : dropped('list.expired');
}
