import type { ConnectOptions } from './api.ts';
import type { ApiOf, Feature, NetWith } from './feature.ts';
import { Net } from './net/net.ts';
import type { Platform } from './platform/platform.ts';

/** A net with features. */
export function connectWith<const Features extends readonly Feature[]>(
  platform: Platform,
  options: ConnectOptions,
  features: Features,
): NetWith<ApiOf<Features>> {
  const net: unknown = new Net(options, platform, features);
  // The features have put there what their types say.
  return net as NetWith<ApiOf<Features>>;
}
