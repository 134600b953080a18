const cursors = new Map<string, HTMLElement>();

export function addCursor(id: string, nick: string, hue: number): void {
  removeCursor(id);
  const cursor = document.createElement('div');
  cursor.className = 'cursor';
  cursor.style.setProperty('--colour', `hsl(${hue} 80% 65%)`);
  cursor.hidden = true;
  const label = document.createElement('span');
  label.textContent = nick;
  cursor.append(label);
  document.querySelector('#cursors')?.append(cursor);
  cursors.set(id, cursor);
}

/** `x` and `y` are fractions of the window. */
export function moveCursor(id: string, x: number, y: number): void {
  const cursor = cursors.get(id);
  if (cursor === undefined) return;
  cursor.hidden = false;
  const clamp = (value: number): number => Math.min(1, Math.max(0, value));
  cursor.style.transform = `translate(${clamp(x) * innerWidth}px, ${clamp(y) * innerHeight}px)`;
}

export function removeCursor(id: string): void {
  cursors.get(id)?.remove();
  cursors.delete(id);
}
