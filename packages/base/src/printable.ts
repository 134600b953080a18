/**
 * What moves a cursor, ends a line, turns text around or cannot be seen (Unicode general categories
 * Cc, Cf, Zl, Zp).
 */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
/** The same, less what JSON.stringify escapes or writes itself. */
const UNPRINTABLE_IN_JSON = /[\u{7F}-\u{9F}\p{Cf}\p{Zl}\p{Zp}]/gu;

/**
 * A stranger's text as it may be shown: what a terminal would obey is spelt out, `\u{1b}` for an
 * escape.
 */
export function printable(text: string): string {
  return text.replaceAll(
    UNPRINTABLE,
    (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`,
  );
}

/** JSON, indented, that says the same as JSON.stringify's and may be shown. */
export function printableJson(value: unknown): string {
  return JSON.stringify(value, null, 2).replaceAll(UNPRINTABLE_IN_JSON, (character) =>
    Array.from(
      { length: character.length },
      (_, i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`,
    ).join(''),
  );
}
