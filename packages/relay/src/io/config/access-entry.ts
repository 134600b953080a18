import { readFileSync } from 'node:fs';
import { LumameshError } from '@lumamesh/base';
import { isAccessToken } from '@lumamesh/protocol';

/** Entries that are no token, but what a relay knows one by (`lumamesh-relay token`), begin so. */
export const KEY_ENTRY = 'key:';
/** Each costs a wrong proof 2 µs. */
export const MAX_ACCESS_TOKENS = 256;

const KEY = /^key:[\w-]{42}[AEIMQUYcgkosw048]$/;

/** One of ACCESS_TOKENS: a token, or the key of one. */
export function isAccessEntry(text: string): boolean {
  return text.startsWith(KEY_ENTRY) ? KEY.test(text) : isAccessToken(text);
}

/**
 * The entries of ACCESS_TOKENS and ACCESS_TOKENS_FILE together; undefined where neither is set.
 * Throws `BAD_CONFIG`, which shows no token.
 */
export function readAccessEntries({
  accessTokens,
  accessTokensFile,
}: {
  readonly accessTokens?: readonly string[] | undefined;
  readonly accessTokensFile?: string | undefined;
}): string[] | undefined {
  if (accessTokens === undefined && accessTokensFile === undefined) return undefined;
  const entries = new Set(accessTokens);
  for (const entry of accessTokensFile === undefined ? [] : readLines(accessTokensFile))
    entries.add(entry);
  if (entries.size > MAX_ACCESS_TOKENS)
    throw new LumameshError(
      'BAD_CONFIG',
      `ACCESS_TOKENS and ACCESS_TOKENS_FILE name ${entries.size} tokens, and at most ${MAX_ACCESS_TOKENS} are allowed`,
    );
  return [...entries];
}

function readLines(file: string): readonly string[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new LumameshError(
      'BAD_CONFIG',
      `ACCESS_TOKENS_FILE: cannot read ${file}: ${(error as Error).message}`,
      { cause: error },
    );
  }
  const lines = text.split('\n').map((line) => line.replace(/(^|\s)#.*$/, '').trim());
  const wrong = lines.findIndex((line) => line !== '' && !isAccessEntry(line));
  if (wrong !== -1)
    throw new LumameshError(
      'BAD_CONFIG',
      `${file}, line ${wrong + 1}: a line is a token of 16 to 128 printable characters without blanks and commas, ${KEY_ENTRY}… (lumamesh-relay token), or a comment behind #`,
    );
  return lines.filter((line) => line !== '');
}
