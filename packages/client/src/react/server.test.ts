import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createElement } from 'react';
import { renderToString } from 'react-dom/server';
// Its type only: a test imports it.
import type * as Hooks from './index.ts';

function App(hooks: typeof Hooks): string {
  const net = hooks.useNet({ relays: ['luma1.nonsense'] });
  const status = hooks.useNetStatus(net);
  const { room, state, peers, error } = hooks.useRoom(net, 'tea', { nick: 'Ada' });
  const nowhere = hooks.useRoom(net, null);
  const open = hooks.usePeers(room, { onlyOpen: true });
  const [others] = hooks.usePresence(room, { x: 1 });
  const send = hooks.useAction<string>(room, 'say');
  return JSON.stringify([
    net,
    status,
    room,
    state,
    peers,
    error,
    nowhere.state,
    open,
    others.size,
    typeof send,
  ]);
}

describe('lumamesh/react on a server', () => {
  it('does nothing when it is imported, and needs no window', async () => {
    assert.ok(!('window' in globalThis) && !('document' in globalThis));
    const globals = Object.getOwnPropertyNames(globalThis).toSorted();
    const resources = process.getActiveResourcesInfo().toSorted();
    await import('./index.ts');
    assert.deepEqual(Object.getOwnPropertyNames(globalThis).toSorted(), globals);
    assert.deepEqual(process.getActiveResourcesInfo().toSorted(), resources);
  });

  it('renders, with no net, and connects nowhere', async () => {
    const hooks = await import('./index.ts');
    const resources = process.getActiveResourcesInfo().toSorted();
    const html = renderToString(createElement(App, hooks)).replaceAll('&quot;', '"');
    assert.equal(html, '[null,null,null,"joining",[],null,"left",[],0,"function"]');
    assert.deepEqual(process.getActiveResourcesInfo().toSorted(), resources);
  });
});
