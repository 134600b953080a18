import type { Platform } from './platform.ts';

/** How long a page that has just gone may hold on to what the next one wants. */
const LOCK_WAIT_MS = 1000;

/**
 * Waits a moment for a lock among all pages of this origin, and holds it until the function that
 * this resolves with is called, or the page is gone. `null`: another page has it. Where there are
 * no locks it is taken for held.
 */
export async function holdLock(
  { navigator }: Platform['scope'],
  name: string,
): Promise<(() => void) | null> {
  const { locks } = navigator ?? {};
  if (locks === undefined) return () => undefined;
  return request(locks, name, { signal: AbortSignal.timeout(LOCK_WAIT_MS) });
}

/**
 * Tells this frame from the others of its tab, the same before and after a reload: its position in
 * each of the frames around it, its name, and its page. Empty for the tab itself; `null` for a
 * frame that cannot be told from others.
 */
export function placeOf({ self, location }: Platform['scope']): string | null {
  let place = '';
  for (
    let frame: Window | undefined = self;
    frame?.parent && frame !== frame.parent;
    frame = frame.parent
  ) {
    const { parent }: Window = frame;
    let index = 0;
    while (index < parent.length && parent[index] !== frame) index += 1;
    // In a shadow tree frames have no position.
    if (index === parent.length) return null;
    place += `/${index}`;
  }
  return place && `${place} ${self?.name} ${location?.pathname}${location?.search}`;
}

/** Holds a lock that nobody has now; `null`: another page has it, or there are no locks here. */
export async function holdFreeLock(
  { navigator }: Platform['scope'],
  name: string,
): Promise<(() => void) | null> {
  return request(navigator?.locks, name, { ifAvailable: true });
}

/** What releases a lock, or `null` where it is not to be had, or there are no locks. */
async function request(
  locks: LockManager | undefined,
  name: string,
  options: LockOptions,
): Promise<(() => void) | null> {
  return new Promise((resolve) => {
    if (locks === undefined) return resolve(null);
    locks
      .request(name, options, async (lock) =>
        lock === null ? resolve(null) : new Promise<void>((release) => resolve(release)),
      )
      .catch(() => resolve(null));
  });
}
