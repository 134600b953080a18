import { utf8Decode } from './bytes.ts';

/**
 * A value has at most this many parts: each costs some 20 to 60 bytes, however short it is written
 * (`[],`).
 */
const MAX_PARTS = 1_000_000;
/**
 * A value is nested this deep at most. All engines take time that grows faster than the depth: 60 000
 * brackets take V8 31 ms and SpiderMonkey 119 ms, and as many bytes that are nested 2000 deep 1 ms.
 */
const MAX_NESTING = 2048;
/** Texts up to this length are not looked at: they cost next to nothing, whatever is in them. */
const COUNTED_FROM_LENGTH = 4096;

/**
 * The value of a JSON text, or `undefined` for what is none, and for what would take more memory or
 * time than its length tells ({@link isIntricate}). Never throws: it may be a stranger's.
 * @param json a text, its UTF-8, or `null`
 */
export function parseJson(json: string | Uint8Array | null): unknown {
  try {
    if (json === null || isIntricate(json)) return undefined;
    const text = typeof json === 'string' ? json : utf8Decode(json);
    return JSON.parse(text ?? '') as unknown;
  } catch {
    return undefined;
  }
}

/** Whether a JSON text has more than a million parts, or is nested more than 2048 deep. */
export function isIntricate(json: string | Uint8Array): boolean {
  let parts = 0;
  let depth = 0;
  let isString = false;
  for (let i = 0; i < json.length && json.length > COUNTED_FROM_LENGTH; i++) {
    const unit = typeof json === 'string' ? json.charCodeAt(i) : json[i];
    // "
    if (unit === 0x22) isString = !isString;
    // A backslash and what it escapes.
    else if (unit === 0x5c) i += 1;
    else if (isString) continue;
    // , [ {
    else if (unit === 0x2c) parts += 1;
    else if (unit === 0x5b || unit === 0x7b) {
      parts += 1;
      depth += 1;
      if (depth > MAX_NESTING) return true;
    }
    // ] }
    else if (unit === 0x5d || unit === 0x7d) depth -= 1;
  }
  return parts > MAX_PARTS;
}
