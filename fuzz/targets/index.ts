import type { Target } from '../target.ts';
import { DECODERS } from './decoders.ts';
import { DTLS_13 } from './dtls-13.ts';
import { MACHINES } from './machines.ts';
import { PEERS } from './peers.ts';
import { STORIES } from './stories.ts';
import { TEXTS } from './texts.ts';
import { TURN } from './turn.ts';

export const TARGETS: readonly Target[] = [
  ...DECODERS,
  ...TEXTS,
  ...PEERS,
  ...MACHINES,
  ...STORIES,
  ...TURN,
  ...DTLS_13,
];
