import { hueOf } from './nick.ts';

export type Step = 'relay' | 'room' | 'peer' | 'direct';
export type StepState = 'idle' | 'busy' | 'done' | 'failed';

interface Person {
  readonly id: string;
  readonly nick: string;
  readonly isOpen: boolean;
}

function byId(id: string): HTMLElement {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page has no #${id}`);
  return element;
}

export function setStep(step: Step, state: StepState, text: string): void {
  const item = document.querySelector<HTMLElement>(`[data-step="${step}"]`);
  if (item === null) return;
  item.dataset['state'] = state;
  const small = item.querySelector('small');
  if (small !== null) small.textContent = text;
}

export function setBadge(state: string): void {
  const badge = byId('badge');
  badge.dataset['state'] = state;
  badge.textContent = state;
}

export function setHint(text: string | null): void {
  const hint = byId('hint');
  hint.hidden = text === null;
  hint.textContent = text ?? '';
}

export function showPeople(nick: string, people: readonly Person[], roomName: string): void {
  byId('room-name').textContent = `in “${roomName}”`;
  const item = (name: string, hue: number, note: string): HTMLElement => {
    const row = document.createElement('li');
    const dot = document.createElement('i');
    dot.style.setProperty('--colour', `hsl(${hue} 80% 65%)`);
    const small = document.createElement('small');
    small.textContent = note;
    row.append(dot, name, small);
    return row;
  };
  byId('people').replaceChildren(
    item(nick, 45, 'you'),
    ...people.map((person) =>
      item(person.nick, hueOf(person.id), person.isOpen ? 'direct' : 'connecting'),
    ),
  );
}

export function addMessage(nick: string, hue: number, text: string): void {
  const line = document.createElement('p');
  const name = document.createElement('b');
  name.style.setProperty('--colour', `hsl(${hue} 80% 65%)`);
  name.textContent = nick;
  line.append(name, ` ${text}`);
  append(line);
}

export function addNote(text: string): void {
  const line = document.createElement('p');
  line.className = 'note';
  line.textContent = text;
  append(line);
}

function append(line: HTMLElement): void {
  const log = byId('log');
  log.querySelector('.empty')?.remove();
  log.append(line);
  log.scrollTop = log.scrollHeight;
}
