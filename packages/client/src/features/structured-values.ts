import type { Feature } from '../feature.ts';
import { STRUCTURED_VALUES } from './structured-codec.ts';

/** Sends more than JSON: Date, Map, Set, BigInt, typed arrays, Blob, File, NaN, undefined. */
export function structuredValues(): Feature {
  return { name: 'structuredValues', values: STRUCTURED_VALUES };
}
