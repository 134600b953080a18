import { LumameshProvider } from '@lumamesh/yjs';
import { connect } from 'lumamesh';
import * as Y from 'yjs';
import { bindCanvas } from './canvas.ts';
import { keepDocument } from './keep-document.ts';
import { hueOf, makeNick } from './nick.ts';
import { bindNotebook } from './notebook.ts';
import { type Visitor, visitorOf } from './visitor.ts';

/* A notebook and a canvas in one document, which is the same in all browsers that have the page open. */

/** The demo server writes its relay's record into this module. */
declare const RELAY_RECORD: string;

function element(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found;
}

function main(): void {
  const name = decodeURIComponent(location.hash.slice(1)) || 'together';
  const doc = new Y.Doc();
  keepDocument(doc, `lumamesh-demo:${name}`);
  const net = connect({ relays: RELAY_RECORD });
  const provider = new LumameshProvider(doc, { net, name: `together: ${name}` });
  const { awareness } = provider;
  const nick = makeNick();
  const me: Visitor = { name: nick, colour: `hsl(${hueOf(nick)} 80% 68%)` };
  awareness.setLocalStateField('user', me);
  bindNotebook(doc.getText('notebook'), awareness);
  bindCanvas(doc.getArray('canvas'), awareness, me);

  let others = 0;
  const show = (): void => {
    const states = [...awareness.getStates()];
    others = states.length - 1;
    element('people').replaceChildren(
      ...states.map(([id, state]) => face(state, id === doc.clientID)),
    );
    const { state } = net.status;
    const isAlone = state === 'offline' && others > 0;
    element('badge').dataset['state'] = isAlone ? 'online' : state;
    element('badge').textContent =
      others > 0 ? `${others === 1 ? 'one other' : `${others} others`}, directly` : state;
    element('note').hidden = !isAlone;
    element('note').textContent =
      'The relay is gone. Nothing of this went through it, so nothing has changed: write and draw on.';
  };
  awareness.on('change', show);
  provider.on('peers', show);
  net.on('status', show);
  show();
}

function face(state: Readonly<Record<string, unknown>>, isMe: boolean): HTMLElement {
  const { name, colour } = visitorOf(state);
  const item = document.createElement('li');
  item.className = isMe ? 'me' : '';
  item.title = isMe ? `${name} (you)` : name;
  item.style.setProperty('--colour', colour);
  item.textContent = name
    .split(' ')
    .map((word) => word.slice(0, 1).toUpperCase())
    .join('');
  return item;
}

main();
