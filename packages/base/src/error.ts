/**
 * The error that callers see: a mistake of theirs, or something that is gone. Never thrown for what
 * a peer sent. `code` is stable and listed in docs/errors.md.
 */
export class LumameshError extends Error {
  override readonly name = 'LumameshError';
  readonly code: string;

  /** Each published file may have a class of its own: an error of any of them is one of all. */
  static override [Symbol.hasInstance](value: unknown): value is LumameshError {
    return (value as Partial<LumameshError> | null | undefined)?.name === 'LumameshError';
  }

  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}
