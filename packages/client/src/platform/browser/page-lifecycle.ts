import type { PageEvents } from '../platform.ts';

/**
 * Reports what the page goes through. iOS restores a page with `pageshow` and no
 * `visibilitychange`, Chrome freezes background pages, and only some browsers tell of another
 * network (`navigator.connection`): all of it is listened to.
 *
 * @returns ends the reports
 */
export function watchPage({ wake, freeze, gone }: PageEvents): () => void {
  const stops: (() => void)[] = [];
  const on = (
    target: EventTarget | undefined,
    names: readonly string[],
    listener: (event: Event) => void,
  ): void => {
    for (const name of names) {
      target?.addEventListener?.(name, listener);
      stops.push(() => target?.removeEventListener?.(name, listener));
    }
  };
  const page = globalThis as unknown as EventTarget;
  const { document, navigator } = globalThis;
  const wakeIfVisible = (): void => {
    if (document?.visibilityState !== 'hidden') wake();
  };
  on(page, ['online', 'pageshow'], wakeIfVisible);
  on(document, ['visibilitychange', 'resume'], wakeIfVisible);
  on(
    (navigator as { readonly connection?: EventTarget } | undefined)?.connection,
    ['change'],
    wakeIfVisible,
  );
  on(page, ['pagehide'], (event) => ((event as PageTransitionEvent).persisted ? freeze() : gone()));
  return () => {
    for (const stop of stops) stop();
  };
}
