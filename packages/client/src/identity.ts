import { LumameshError, expectThat, expectType, fromBase64Url, toBase64Url } from '@lumamesh/base';
import { utf8Decode, utf8Encode } from '@lumamesh/base';
import {
  PROOF_KEY_ALGORITHM,
  keysFromText,
  keysToText,
  makeProofKeys,
} from './identity/identity-keys.ts';
import { type MemoryPeer, MemoryStore } from './identity/identity-store.ts';
import { type IdentityScope, PageIdentity } from './identity/page-identity.ts';
import {
  type ProofPeer,
  type ProofRoom,
  type ProveOptions,
  proveIdentity as prove,
  watchIdentities as watch,
} from './identity/proof.ts';
import { browserPlatform } from './platform/browser/browser-platform.ts';
import { IdentityDatabase, removeIdentity } from './platform/browser/identity-database.ts';
import { PEER_KEY_ALGORITHM } from './room/peer-identity.ts';

/*
 * `lumamesh/identity`: who a page is beyond its visit.
 *
 *   connect({ relays, identity: await loadIdentity() })
 */
export { LumameshError } from '@lumamesh/base';
export type { IdentityScope, PageIdentity } from './identity/page-identity.ts';
export type { ProofPeer, ProofRoom, ProveOptions } from './identity/proof.ts';
export type { Identity, PeerIdentity } from './room/peer-identity.ts';

export interface LoadIdentityOptions {
  /** An origin may have several, by name. Default `default`. */
  readonly name?: string;
  /** Whether it is a peer of its own in each room, or the same in all. Default `room`. */
  readonly scope?: IdentityScope;
}

export interface CreateIdentityOptions {
  readonly scope?: IdentityScope;
  /** Whether {@link exportIdentity} can write it. Default `false`. */
  readonly extractable?: boolean;
}

const MAX_NAME_LENGTH = 256;
const TEXT_HEAD = 'luma-identity1.';

/** Identities that this page has loaded: the same object for everybody who asks. */
const loaded = new Map<string, Promise<PageIdentity>>();

/**
 * The identity of this origin in this browser, made at the first visit. Its keys are in IndexedDB
 * and cannot be exported, not even by the page. Where nothing can be stored (a sandboxed frame) it
 * lasts as long as the page: `isKept` is `false`. Throws `INSECURE_ORIGIN`, `BAD_ARGUMENT`.
 */
export async function loadIdentity({
  name = 'default',
  scope = 'room',
}: LoadIdentityOptions = {}): Promise<PageIdentity> {
  checkName(name);
  checkScope(scope);
  const key = `${scope} ${name}`;
  const known = loaded.get(key);
  if (known !== undefined) return known;
  const loading = load(name, scope);
  loaded.set(key, loading);
  return loading;
}

/**
 * An identity that is stored nowhere: it lasts as long as the program, or as long as the page keeps
 * what {@link exportIdentity} writes. Throws `INSECURE_ORIGIN`, `BAD_ARGUMENT`.
 */
export async function createIdentity({
  scope = 'room',
  extractable = false,
}: CreateIdentityOptions = {}): Promise<PageIdentity> {
  checkScope(scope);
  expectType('createIdentity: extractable', extractable, 'boolean');
  const { crypto, unixSeconds } = browserPlatform();
  const keys = await makeProofKeys(crypto.subtle, extractable);
  return PageIdentity._of(
    crypto,
    scope,
    false,
    keys,
    new MemoryStore(crypto, extractable, unixSeconds),
  );
}

/**
 * The identity as a text: whoever has it is that identity, and its peers in the rooms that it was in
 * so far. Rejects with `BAD_IDENTITY` unless it was made with `extractable`, or imported.
 */
export async function exportIdentity(identity: PageIdentity): Promise<string> {
  const { subtle } = browserPlatform().crypto;
  try {
    const peers = await Promise.all(
      [...(identity._store as MemoryStore).peers].map(
        async ([place, { keys, next }]) => [place, await keysToText(subtle, keys), next] as const,
      ),
    );
    const content = {
      scope: identity.scope,
      proof: await keysToText(subtle, identity._proofKeys),
      peers,
    };
    return `${TEXT_HEAD}${toBase64Url(utf8Encode(JSON.stringify(content)))}`;
  } catch (cause) {
    throw new LumameshError('BAD_IDENTITY', 'this identity cannot be exported', { cause });
  }
}

/** Reads what {@link exportIdentity} wrote. Rejects with `BAD_IDENTITY` at anything else. */
export async function importIdentity(text: string): Promise<PageIdentity> {
  const { crypto, unixSeconds } = browserPlatform();
  const { subtle } = crypto;
  try {
    if (!text.startsWith(TEXT_HEAD)) throw new RangeError('not an identity');
    const bytes = fromBase64Url(text.slice(TEXT_HEAD.length).trim()) ?? new Uint8Array(0);
    const { scope, proof, peers } = JSON.parse(utf8Decode(bytes) ?? '') as {
      readonly scope: IdentityScope;
      readonly proof: string;
      readonly peers: readonly (readonly [place: string, keys: string, next: number])[];
    };
    checkScope(scope);
    const known = new Map<string, MemoryPeer>();
    for (const [place, keys, next] of peers)
      known.set(place, { keys: await keysFromText(subtle, keys, PEER_KEY_ALGORITHM, true), next });
    const keys = await keysFromText(subtle, proof, PROOF_KEY_ALGORITHM, true);
    const store = new MemoryStore(crypto, true, unixSeconds, known);
    return await PageIdentity._of(crypto, scope, false, keys, store);
  } catch (cause) {
    throw new LumameshError('BAD_IDENTITY', 'not the text of an identity', { cause });
  }
}

/**
 * Removes a stored identity, and all that it was in rooms: the next {@link loadIdentity} makes
 * another. Pages that use it now go on until they close.
 */
export async function deleteIdentity(name = 'default'): Promise<void> {
  checkName(name);
  for (const key of [...loaded.keys()]) if (key.endsWith(` ${name}`)) loaded.delete(key);
  await removeIdentity(name).catch(() => undefined);
}

/**
 * Shows a peer which identity this page has: its `id`, and nothing that the peer could show to
 * others. Nobody else hears of it, and no peer unless this is called.
 *
 * ```js
 * await proveIdentity(identity, room, peer);
 * ```
 *
 * Rejects with `NO_HANDLER` when the other page does not ask for identities (by {@link
 * watchIdentities}), with `REQUEST_TIMEOUT`, `REQUEST_FAILED`, `PEER_CLOSED`, and `BAD_IDENTITY`.
 * @returns whether the other page is convinced
 */
export async function proveIdentity(
  identity: PageIdentity,
  room: Pick<ProofRoom, 'name' | 'selfId'>,
  peer: ProofPeer,
  options?: ProveOptions,
): Promise<boolean> {
  return prove(browserPlatform().crypto, identity, room, peer, options);
}

/**
 * Hears which members of a room show who they are. What is heard holds for that peer, for as long as
 * it is there. One of them for each room at a time.
 *
 * ```js
 * watchIdentities(room, (peer, id) => console.log(peer.nick, 'is', names.get(id) ?? 'unknown'));
 * ```
 *
 * @returns ends it
 */
export function watchIdentities<Peer extends ProofPeer>(
  room: ProofRoom<Peer>,
  onIdentity: (peer: Peer, id: string) => void,
): () => void {
  return watch(browserPlatform().crypto, room, onIdentity);
}

async function load(name: string, scope: IdentityScope): Promise<PageIdentity> {
  const platform = browserPlatform();
  const { crypto, unixSeconds } = platform;
  const made = await makeProofKeys(crypto.subtle, false);
  const database = new IdentityDatabase(name, platform);
  try {
    const identity = await PageIdentity._of(
      crypto,
      scope,
      true,
      await database.proofKeys(made),
      database,
    );
    platform.watchPage({
      wake: () => undefined,
      freeze: () => undefined,
      gone: () => database.keep(identity._held),
    });
    return identity;
  } catch {
    return PageIdentity._of(
      crypto,
      scope,
      false,
      made,
      new MemoryStore(crypto, false, unixSeconds),
    );
  }
}

function checkName(name: unknown): void {
  const isRight = typeof name === 'string' && name.length > 0 && name.length <= MAX_NAME_LENGTH;
  expectThat(isRight, 'name', `a text of 1 to ${MAX_NAME_LENGTH} characters`, name);
}

function checkScope(scope: unknown): void {
  expectThat(scope === 'room' || scope === 'global', 'scope', '"room" or "global"', scope);
}
