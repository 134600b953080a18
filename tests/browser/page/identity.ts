import { LumameshError, type Net, type Room, connect } from 'lumamesh';
import {
  type LoadIdentityOptions,
  type PageIdentity,
  deleteIdentity,
  exportIdentity,
  loadIdentity,
  proveIdentity,
  watchIdentities,
} from 'lumamesh/identity';
import { log, note } from './log.ts';

/* What identity.test.ts drives inside pages and their frames. Results go back as JSON. */

let identity: PageIdentity | null = null;
let net: Net | null = null;
let room: Room | null = null;

/** @param options of the identity; `null` for that of the session */
async function join(
  relay: string,
  name: string,
  nick: string,
  options: LoadIdentityOptions | null,
): Promise<string> {
  identity = options === null ? null : await loadIdentity(options);
  net ??= connect({ relays: [relay], ...(identity !== null && { identity }) });
  room = net.joinRoom(name, { nick });
  room.on('error', (error) => note('error', error.code));
  room.on('peer', (peer) => peer.on('open', () => note('open', `${peer.nick} ${peer.id}`)));
  room.on('joined', () => note('joined', name));
  watchIdentities(room, (peer, id) => note('identity', `${peer.nick} ${id}`));
  const joining = room;
  while (joining.selfId === '') await new Promise((resolve) => setTimeout(resolve, 5));
  return joining.selfId;
}

/** Shows the peer of a nick who this page is. */
async function prove(nick: string): Promise<boolean | string> {
  const peer = room?.peers.find((one) => one.nick === nick && one.isOpen);
  if (peer === undefined || room === null || identity === null) return 'not there';
  return proveIdentity(identity, room, peer).catch((error: unknown) =>
    error instanceof LumameshError ? error.code : String(error),
  );
}

/** A frame with this page in it. */
async function addFrame(query: string, sandbox?: string): Promise<void> {
  const frame = document.createElement('iframe');
  if (sandbox !== undefined) frame.setAttribute('sandbox', sandbox);
  frame.src = `${location.pathname}?${query}`;
  const isLoaded = new Promise((resolve) => frame.addEventListener('load', resolve));
  document.body.append(frame);
  await isLoaded;
}

/** Whatever a broken page has left where identities are. */
async function damage(): Promise<void> {
  const opening = indexedDB.open('lumamesh', 1);
  const database = await new Promise<IDBDatabase>((resolve, reject) => {
    opening.addEventListener('success', () => resolve(opening.result));
    opening.addEventListener('error', () => reject(opening.error ?? new Error('no database')));
  });
  const change = database.transaction(['identities', 'peers'], 'readwrite');
  for (const name of ['identities', 'peers']) {
    const store = change.objectStore(name);
    const keys = store.getAllKeys();
    keys.addEventListener('success', () => {
      for (const key of keys.result) store.put({ keys: 'none', next: 'x' }, key);
    });
  }
  await new Promise<void>((resolve) => change.addEventListener('complete', () => resolve()));
  database.close();
}

Object.assign(globalThis, {
  harness: {
    log: () => log,
    join,
    prove,
    addFrame,
    damage,
    selfId: () => room?.selfId ?? '',
    leave: () => room?.leave(),
    close: () => net?.close(),
    identityId: () => identity?.id ?? '',
    isKept: () => identity?.isKept ?? null,
    forget: deleteIdentity,
    export: async () =>
      exportIdentity(identity as PageIdentity).catch((error: unknown) =>
        error instanceof LumameshError ? error.code : String(error),
      ),
    stored: () => Object.keys(sessionStorage).length,
    hideLocks: () =>
      Object.defineProperty(navigator, 'locks', { value: undefined, configurable: true }),
  },
});
