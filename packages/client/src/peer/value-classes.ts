/*
 * What a value is, by what it has inside and not by its prototype: what another frame of the page
 * has made has that frame's classes. A method that only instances take tells: it throws for others.
 */

/** Whether a method of a class takes the value as an instance, of whatever frame. */
export function isTakenBy<Class extends object>(
  prototype: Class,
  method: keyof Class,
  value: unknown,
): value is Class {
  try {
    (prototype[method] as (this: unknown) => unknown).call(value);
    return true;
  } catch {
    return false;
  }
}

/** What `Object.prototype.toString` calls a value; a page may make it say anything. */
export function tagOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice(8, -1);
}

export function isUint8Array(value: unknown): value is Uint8Array {
  return ArrayBuffer.isView(value) && tagOf(value) === 'Uint8Array';
}

/**
 * A copy of the bytes of an ArrayBuffer, a DataView or a typed array; `null` for what is none, and
 * for one whose bytes were given away: `postMessage` and `transfer` detach a buffer.
 */
export function copyBytes(value: unknown): Uint8Array<ArrayBuffer> | null {
  try {
    if (!ArrayBuffer.isView(value))
      return new Uint8Array(ArrayBuffer.prototype.slice.call(value as ArrayBuffer, 0));
    // A typed array without its bytes says that it has none: its iterators do not come about.
    (value as Partial<Uint8Array>).keys?.();
    return new Uint8Array(value.buffer, value.byteOffset, value.byteLength).slice();
  } catch {
    return null;
  }
}
