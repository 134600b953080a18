/** Has `run` called once, soon. */
export type Schedule = (run: () => void) => void;

/** A page that is not to be seen has no frames: then this is as long as it takes. */
const LONGEST_FRAME_MS = 100;

/** Before the page is painted next. */
export const nextFrame: Schedule = (run) => {
  let frame = 0;
  const finish = (): void => {
    clearTimeout(timer);
    globalThis.cancelAnimationFrame?.(frame);
    run();
  };
  const timer = setTimeout(finish, LONGEST_FRAME_MS);
  frame = globalThis.requestAnimationFrame?.(finish) ?? 0;
};
