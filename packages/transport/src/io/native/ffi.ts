import type * as NodeFfi from 'node:ffi';

/* The way to native code: `node:ffi`, an experimental module of Node 26. */
export type Ffi = typeof NodeFfi;
export type Library = InstanceType<Ffi['DynamicLibrary']>;

/** What the native path was written for, and is tested on: both are LP64 and little-endian. */
const PLATFORMS: readonly string[] = ['linux-x64', 'linux-arm64'];

/**
 * Loads `node:ffi` and opens the process itself as a library. Throws, with a sentence for the
 * operator, where that cannot be had: another platform, a runtime without it, a permission that is
 * refused.
 */
export function loadFfi(): { readonly ffi: Ffi; readonly library: Library } {
  const platform = `${process.platform}-${process.arch}`;
  if (!PLATFORMS.includes(platform)) throw new Error(`there is none for ${platform}`);
  return withoutExperimentalWarning(() => {
    // Undefined in a runtime that has no such module, or was told not to have it.
    const ffi = process.getBuiltinModule('node:ffi') as Ffi | undefined;
    if (ffi === undefined) throw new Error(`Node ${process.version} has no node:ffi`);
    return { ffi, library: new ffi.DynamicLibrary(null) };
  });
}

/**
 * Node prints one warning at the first use. It is nothing that the operator could act on:
 * `--version`, `doctor` and /statsz say which path runs.
 */
function withoutExperimentalWarning<T>(use: () => T): T {
  const before = Object.getOwnPropertyDescriptor(process, 'emitWarning');
  if (before === undefined) return use();
  const emit = before.value as (...parameters: unknown[]) => void;
  const filter = (...parameters: unknown[]): void => {
    if (parameters[1] !== 'ExperimentalWarning') Reflect.apply(emit, process, parameters);
  };
  Object.defineProperty(process, 'emitWarning', { ...before, value: filter });
  try {
    return use();
  } finally {
    Object.defineProperty(process, 'emitWarning', before);
  }
}

/**
 * An integer parameter, as node:ffi is told: on these platforms integers and pointers are passed in
 * the same registers, and functions whose parameters are all pointers cost 0.1 µs a call where
 * others of more than three cost 0.3. Its value is a bigint: {@link integer}.
 */
export const INTEGER = 'pointer';

const SMALL_INTEGERS = Array.from({ length: 2048 }, (_, n) => BigInt(n));

/** The value of an {@link INTEGER} parameter. */
export function integer(value: number): bigint {
  return SMALL_INTEGERS[value] ?? BigInt(value);
}
