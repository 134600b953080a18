import * as Y from 'yjs';

/** Browsers give a page some megabytes of text. */
const MAX_KEPT_BYTES = 1_000_000;
const KEEP_AFTER_MS = 500;

/** Keeps a document in this browser, so that it is there when all pages were closed. */
export function keepDocument(doc: Y.Doc, key: string): void {
  try {
    const kept = localStorage.getItem(key);
    if (kept !== null)
      Y.applyUpdate(
        doc,
        Uint8Array.from(atob(kept), (c) => c.charCodeAt(0)),
      );
  } catch {
    // No storage, or nothing that can be read: the others have it, or nobody.
  }
  let timer: ReturnType<typeof setTimeout> | undefined;
  doc.on('update', () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const update = Y.encodeStateAsUpdate(doc);
      if (update.length > MAX_KEPT_BYTES) return;
      try {
        const text = Array.from(update, (byte) => String.fromCharCode(byte)).join('');
        localStorage.setItem(key, btoa(text));
      } catch {
        // As above.
      }
    }, KEEP_AFTER_MS);
  });
}
