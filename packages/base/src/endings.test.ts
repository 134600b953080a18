import assert from 'node:assert/strict';
import { it } from 'node:test';
import { Endings } from './endings.ts';

it('endings end what was begun, once; of who is gone nothing is kept', () => {
  const ended: string[] = [];
  const end = (what: string) => (): void => void ended.push(what);
  const endings = new Endings<string>();
  endings.set('room', end('room'), end('timer'));
  endings.set('ada', end('ada was replaced'));
  endings.set('ada', end('ada opens'), end('ada speaks'));
  endings.set('bob', end('bob opens'));
  endings.forget('bob');
  endings.end();
  endings.end();
  assert.deepEqual(ended, ['room', 'timer', 'ada opens', 'ada speaks']);
  endings.set('room', end('again'));
  endings.end();
  assert.equal(ended.at(-1), 'again');
});
