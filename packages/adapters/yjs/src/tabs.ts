import type { Bytes } from './frames.ts';
import type { Post } from './link.ts';

/** What is done with the other tabs of this browser. */
export interface TabsUser {
  /** This tab has been chosen: it talks to the room for all of them. */
  readonly _handleElected: () => void;
  /** The tab that was chosen. */
  readonly _handleCarrier: (id: string, post: Post) => void;
  /** @param post answers it */
  readonly _handleTabFrame: (id: string, frame: Bytes, post: Post) => void;
  readonly _handleTabGone: (id: string) => void;
}

interface Message {
  readonly from: string;
  /** To all when there is none. */
  readonly to?: string | undefined;
  readonly frame?: Bytes;
  readonly isCarrier?: boolean;
}

/**
 * The tabs of a browser that share a document, by BroadcastChannel. The one that holds a lock
 * carries for all; the browser gives the lock to another when that tab is gone. Each tab holds a
 * lock of its own as well, so that the carrier knows at once when it ends.
 */
export class Tabs {
  readonly _id = crypto.randomUUID();
  readonly #name: string;
  readonly #user: TabsUser;
  readonly #channel: BroadcastChannel;
  /** Ends all locks and the waiting for them. */
  readonly #end = new AbortController();
  /** While it waits for the locks of others. */
  readonly #watched = new Set<string>();
  #isCarrier = false;

  /** @param name the same for all tabs that share a document, and for no others */
  constructor(name: string, user: TabsUser) {
    this.#name = name;
    this.#user = user;
    this.#channel = new BroadcastChannel(name);
    this.#channel.addEventListener('message', ({ data }) => this.#receive(data as Message));
    this.#hold(this._id, () => this.#say({}));
    this.#hold('carrier', () => {
      this.#isCarrier = true;
      this.#say({ isCarrier: true });
      user._handleElected();
    });
  }

  /** Says something to all other tabs. */
  _post(frame: Bytes): void {
    this.#say({ frame });
  }

  _close(): void {
    this.#end.abort();
    this.#channel.close();
  }

  /** Waits for a lock, and keeps it until the end. */
  #hold(name: string, run: () => void): void {
    const { signal } = this.#end;
    void this.#lock(name, async () => {
      if (signal.aborted) return;
      run();
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
    });
  }

  async #lock(name: string, run: () => unknown): Promise<void> {
    const { signal } = this.#end;
    // Where it is aborted nobody waits any more.
    await navigator.locks.request(`${this.#name} ${name}`, { signal }, run).catch(() => undefined);
  }

  #say(message: Omit<Message, 'from'>): void {
    // A channel of this origin only, so there is no other to name.
    // oxlint-disable-next-line unicorn/require-post-message-target-origin
    if (!this.#end.signal.aborted) this.#channel.postMessage({ from: this._id, ...message });
  }

  #receive({ from, to = this._id, frame, isCarrier = false }: Message): void {
    if (to !== this._id) return;
    const post: Post = (frame) => Promise.resolve(this.#say({ to: from, frame }));
    if (isCarrier) this.#user._handleCarrier(from, post);
    if (this.#isCarrier) this.#watch(from);
    if (frame !== undefined) this.#user._handleTabFrame(from, frame, post);
    else if (this.#isCarrier && !isCarrier) this.#say({ to: from, isCarrier: true });
  }

  #watch(id: string): void {
    if (this.#watched.has(id)) return;
    this.#watched.add(id);
    void this.#lock(id, () => {
      this.#watched.delete(id);
      if (!this.#end.signal.aborted) this.#user._handleTabGone(id);
    });
  }
}

/** A name for the tabs of a room, which tells nobody the password. */
export async function tabsName(room: string, password: string): Promise<string> {
  const text = new TextEncoder().encode(JSON.stringify(['lumamesh yjs', room, password]));
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', text));
  return `lumamesh-yjs-${btoa(String.fromCharCode(...hash))}`;
}

/** Whether there can be other tabs, and one of them be chosen. */
export async function hasTabs(): Promise<boolean> {
  try {
    // Node has both, and no tabs; a page of an opaque origin is refused.
    return typeof document === 'object' && (await navigator.locks.query()) !== undefined;
  } catch {
    return false;
  }
}
