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
/**
 * SpiderMonkey keeps a place of 8 bytes for each index below the largest key, when that is no more
 * than three digits: `{"999":0}` takes 8 KB. So many places cost what a part does.
 */
const INDICES_PER_PART = 5;
/** A key of three digits, with all of them escaped. */
const MAX_INDEX_LENGTH = 18;
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
  let [stringAt, stringEnd] = [0, 0];
  /** The largest index that is a key, of each value around. */
  const indices: number[] = [0];
  for (let i = 0; i < json.length && json.length > COUNTED_FROM_LENGTH; i++) {
    const unit = typeof json === 'string' ? json.charCodeAt(i) : json[i];
    // "
    if (unit === 0x22) {
      isString = !isString;
      if (isString) stringAt = i + 1;
      else stringEnd = i;
    }
    // A backslash and what it escapes.
    else if (unit === 0x5c) i += 1;
    else if (isString) continue;
    // , [ {
    else if (unit === 0x2c) parts += 1;
    else if (unit === 0x5b || unit === 0x7b) {
      parts += 1;
      depth += 1;
      if (depth > MAX_NESTING) return true;
      indices[depth] = 0;
    }
    // :
    else if (unit === 0x3a) {
      const index = indexOf(json, stringAt, stringEnd);
      const more = index - (indices[depth] ?? 0);
      if (!(more > 0)) continue;
      indices[depth] = index;
      parts += more / INDICES_PER_PART;
    }
    // ] }
    else if (unit === 0x5d || unit === 0x7d) depth -= 1;
  }
  return parts > MAX_PARTS;
}

/** The index below 1000 that a key is, or NaN. */
function indexOf(json: string | Uint8Array, from: number, to: number): number {
  const first = typeof json === 'string' ? json.charCodeAt(from) : (json[from] ?? 0);
  // A digit, or a backslash.
  if (to - from > MAX_INDEX_LENGTH || ((first < 0x30 || first > 0x39) && first !== 0x5c))
    return Number.NaN;
  const raw = json.slice(from, to);
  const key = (typeof raw === 'string' ? raw : String.fromCharCode(...raw)).replace(/\\u003/g, '');
  return /^\d{1,3}$/.test(key) ? Number(key) : Number.NaN;
}
