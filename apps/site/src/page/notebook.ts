import type { Awareness } from 'y-protocols/awareness';
import * as Y from 'yjs';
import { visitorOf } from './visitor.ts';

/** A text area that is a shared text, with the carets of the others in it. */
export function bindNotebook(text: Y.Text, awareness: Awareness): void {
  const area = document.querySelector<HTMLTextAreaElement>('#notes');
  const mirror = document.querySelector<HTMLElement>('#mirror');
  const counts = document.querySelector<HTMLElement>('#counts');
  const doc = text.doc;
  if (area === null || mirror === null || counts === null || doc === null) return;

  const placeOf = (index: number): unknown =>
    Y.relativePositionToJSON(Y.createRelativePositionFromTypeIndex(text, index));
  const indexOf = (place: unknown): number | null => {
    try {
      const position = Y.createRelativePositionFromJSON(place);
      return Y.createAbsolutePositionFromRelativePosition(position, doc)?.index ?? null;
    } catch {
      return null;
    }
  };
  const point = (): void => {
    const isHere = document.activeElement === area;
    awareness.setLocalStateField('caret', isHere ? placeOf(area.selectionStart) : null);
  };
  /** The same text, unseen, with the others' carets in their places. */
  const drawCarets = (): void => {
    const carets: { readonly index: number; readonly mark: HTMLElement }[] = [];
    for (const [id, state] of awareness.getStates()) {
      const index = id === doc.clientID || !state['caret'] ? null : indexOf(state['caret']);
      if (index === null) continue;
      const { name, colour } = visitorOf(state);
      const mark = document.createElement('span');
      mark.className = 'caret';
      mark.style.setProperty('--colour', colour);
      mark.dataset['name'] = name;
      carets.push({ index, mark });
    }
    const value = text.toJSON();
    let at = 0;
    const parts: (string | Node)[] = [];
    for (const { index, mark } of carets.toSorted((a, b) => a.index - b.index)) {
      parts.push(value.slice(at, index), mark);
      at = index;
    }
    mirror.replaceChildren(...parts, `${value.slice(at)}\n`);
    mirror.scrollTop = area.scrollTop;
    const words = value.split(/\s+/).filter(Boolean).length;
    counts.textContent = words === 0 ? '' : `${words} ${words === 1 ? 'word' : 'words'}`;
  };
  const read = (): void => {
    const value = text.toJSON();
    if (area.value === value) return drawCarets();
    // What was written before the caret moves it along.
    const ends = [area.selectionStart, area.selectionEnd].map((end) =>
      movedBy(end, area.value, value),
    );
    const { scrollTop } = area;
    area.value = value;
    area.setSelectionRange(ends[0] ?? 0, ends[1] ?? 0);
    area.scrollTop = scrollTop;
    drawCarets();
  };
  area.addEventListener('input', () => {
    const { start, removed, inserted } = changeBetween(text.toJSON(), area.value);
    doc.transact(() => {
      text.delete(start, removed);
      text.insert(start, inserted);
    });
    point();
  });
  for (const event of ['keyup', 'pointerup', 'focus', 'blur']) area.addEventListener(event, point);
  area.addEventListener('scroll', () => (mirror.scrollTop = area.scrollTop));
  text.observe(read);
  awareness.on('change', drawCarets);
  read();
}

interface Change {
  readonly start: number;
  readonly removed: number;
  readonly inserted: string;
}

/** What was changed, if it was in one place. */
function changeBetween(before: string, after: string): Change {
  const shorter = Math.min(before.length, after.length);
  let start = 0;
  while (start < shorter && before[start] === after[start]) start++;
  let end = 0;
  while (end < shorter - start && before.at(-1 - end) === after.at(-1 - end)) end++;
  return {
    start,
    removed: before.length - start - end,
    inserted: after.slice(start, after.length - end),
  };
}

/** Where a place in a text is after it has changed. */
function movedBy(place: number, before: string, after: string): number {
  const { start, removed, inserted } = changeBetween(before, after);
  if (place <= start) return place;
  return Math.max(start, place - removed) + inserted.length;
}
