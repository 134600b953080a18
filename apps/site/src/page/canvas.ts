import type { Awareness } from 'y-protocols/awareness';
import * as Y from 'yjs';
import { type Visitor, visitorOf } from './visitor.ts';

/* Strokes are maps of colour, width and points; points are x, y, x, y, … in thousandths of the board. */

const SCALE = 1000;
const COLOURS = ['#ffd166', '#ff7b7b', '#5ee0a0', '#6cb8ff', '#c99bff', '#e8ecf4'];
/** A stroke is undone as a whole, be it drawn for so long. */
const STROKE_MS = 60_000;
/** Points of one stroke that are drawn: strangers may send any number. */
const MAX_POINTS = 40_000;

type Stroke = Y.Map<unknown>;

/** A board on which all draw at once. */
export function bindCanvas(strokes: Y.Array<Stroke>, awareness: Awareness, me: Visitor): void {
  const canvas = document.querySelector<HTMLCanvasElement>('#canvas');
  const context = canvas?.getContext('2d');
  const width = document.querySelector<HTMLInputElement>('#width');
  const { doc } = strokes;
  if (canvas === null || !context || width === null || doc === null) return;
  const undo = new Y.UndoManager(strokes, {
    trackedOrigins: new Set([me]),
    captureTimeout: STROKE_MS,
  });
  let colour = COLOURS[0] ?? me.colour;
  let stroke: Stroke | null = null;
  /** What was drawn since the last frame: one edit for all of it. */
  let fresh: number[] = [];
  let isDrawn = true;

  const draw = (): void => {
    isDrawn = true;
    if (fresh.length > 0 && stroke !== null) {
      const points = stroke.get('points') as Y.Array<number>;
      const added = fresh.splice(0);
      doc.transact(() => points.push(added), me);
    }
    const ratio = devicePixelRatio;
    const [wide, high] = [canvas.clientWidth, canvas.clientHeight];
    canvas.width = wide * ratio;
    canvas.height = high * ratio;
    context.scale(ratio, ratio);
    context.lineCap = context.lineJoin = 'round';
    for (const one of strokes) drawStroke(context, one, wide / SCALE, high / SCALE);
  };
  const drawSoon = (): void => {
    if (!isDrawn) return;
    isDrawn = false;
    requestAnimationFrame(draw);
  };
  const placeOf = (event: PointerEvent): readonly [number, number] => {
    const { left, top, width, height } = canvas.getBoundingClientRect();
    return [
      Math.round(((event.clientX - left) / width) * SCALE),
      Math.round(((event.clientY - top) / height) * SCALE),
    ];
  };
  canvas.addEventListener('pointerdown', (event) => {
    canvas.setPointerCapture(event.pointerId);
    const begun: Stroke = new Y.Map();
    const points = new Y.Array<number>();
    points.push([...placeOf(event)]);
    begun.set('points', points);
    begun.set('colour', colour);
    begun.set('width', width.valueAsNumber);
    undo.stopCapturing();
    doc.transact(() => strokes.push([begun]), me);
    stroke = begun;
  });
  canvas.addEventListener('pointermove', (event) => {
    const place = placeOf(event);
    awareness.setLocalStateField('pen', place);
    if (stroke === null) return;
    const all = event.getCoalescedEvents?.() ?? [];
    for (const one of all.length > 0 ? all : [event]) fresh.push(...placeOf(one));
    drawSoon();
  });
  const end = (): void => {
    draw();
    stroke = null;
    fresh = [];
  };
  canvas.addEventListener('pointerup', end);
  canvas.addEventListener('pointercancel', end);
  canvas.addEventListener('pointerleave', () => awareness.setLocalStateField('pen', null));
  document.querySelector('#undo')?.addEventListener('click', () => undo.undo());
  document.querySelector('#clear')?.addEventListener('click', () => {
    doc.transact(() => strokes.delete(0, strokes.length), me);
  });
  document
    .querySelector('#colours')
    ?.append(...COLOURS.map((one) => swatch(one, () => (colour = one))));
  strokes.observeDeep(drawSoon);
  new ResizeObserver(drawSoon).observe(canvas);
  const pens = new Map<number, HTMLElement>();
  awareness.on('change', () => showPens(pens, awareness, doc.clientID, canvas));
  draw();
}

function drawStroke(
  context: CanvasRenderingContext2D,
  stroke: unknown,
  scaleX: number,
  scaleY: number,
): void {
  if (!(stroke instanceof Y.Map)) return;
  const points: unknown = stroke.get('points');
  if (!(points instanceof Y.Array)) return;
  const places = (points.toArray() as unknown[]).slice(0, MAX_POINTS).map(Number);
  context.strokeStyle = String(stroke.get('colour'));
  context.lineWidth = Math.min(40, Number(stroke.get('width')) || 1);
  context.beginPath();
  const [x = 0, y = 0] = places;
  context.moveTo(x * scaleX, y * scaleY);
  // A tap is a dot.
  if (places.length < 4) context.lineTo(x * scaleX + 0.01, y * scaleY);
  // Through the middles, so that corners are round.
  for (let i = 2; i + 1 < places.length; i += 2) {
    const [fromX, fromY] = [(places[i - 2] ?? 0) * scaleX, (places[i - 1] ?? 0) * scaleY];
    const [toX, toY] = [(places[i] ?? 0) * scaleX, (places[i + 1] ?? 0) * scaleY];
    context.quadraticCurveTo(fromX, fromY, (fromX + toX) / 2, (fromY + toY) / 2);
  }
  const last = places.length - (places.length % 2);
  if (last >= 4) context.lineTo((places[last - 2] ?? 0) * scaleX, (places[last - 1] ?? 0) * scaleY);
  context.stroke();
}

function swatch(colour: string, choose: () => void): HTMLElement {
  const button = document.createElement('button');
  button.type = 'button';
  button.setAttribute('role', 'radio');
  button.setAttribute('aria-label', colour);
  button.setAttribute('aria-checked', String(colour === COLOURS[0]));
  button.style.setProperty('--colour', colour);
  button.addEventListener('click', () => {
    for (const other of button.parentElement?.children ?? [])
      other.setAttribute('aria-checked', String(other === button));
    choose();
  });
  return button;
}

function showPens(
  pens: Map<number, HTMLElement>,
  awareness: Awareness,
  self: number,
  canvas: HTMLElement,
): void {
  const states = awareness.getStates();
  for (const [id, pen] of pens)
    if (!Array.isArray(states.get(id)?.['pen'])) {
      pen.remove();
      pens.delete(id);
    }
  for (const [id, state] of states) {
    const place: unknown = state['pen'];
    if (id === self || !Array.isArray(place)) continue;
    const pen = pens.get(id) ?? makePen(visitorOf(state));
    pens.set(id, pen);
    const [x = 0, y = 0] = place.map(Number);
    const left = (x / SCALE) * canvas.clientWidth;
    pen.style.transform = `translate(${left}px, ${(y / SCALE) * canvas.clientHeight}px)`;
  }
}

function makePen({ name, colour }: Visitor): HTMLElement {
  const pen = document.createElement('div');
  pen.className = 'pen';
  pen.style.setProperty('--colour', colour);
  const label = document.createElement('span');
  label.textContent = name;
  pen.append(label);
  document.querySelector('#pens')?.append(pen);
  return pen;
}
