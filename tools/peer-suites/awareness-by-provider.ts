import type { Awareness } from 'y-protocols/awareness';
import { AwarenessSync } from '../../packages/adapters/yjs/src/awareness-sync.ts';
import { AWARENESS, decodeFrame, encodeFrame } from '../../packages/adapters/yjs/src/frames.ts';
import { Link } from '../../packages/adapters/yjs/src/link.ts';
import { Links } from '../../packages/adapters/yjs/src/links.ts';

/*
 * y-protocols' awareness, but what is applied goes the way of the provider: in a frame, through what
 * decides who may say it of whom.
 */
export * from 'y-protocols/awareness';

interface Member {
  readonly sync: AwarenessSync;
  readonly from: Link;
}

const members = new WeakMap<Awareness, Member>();

/** What y-protocols has under this name. */
export function applyAwarenessUpdate(
  awareness: Awareness,
  update: Uint8Array,
  origin: object | string,
): void {
  const { sync, from } = members.get(awareness) ?? makeMember(awareness, origin);
  const frame = decodeFrame(encodeFrame(AWARENESS, 0, 1, update));
  if (frame?._kind !== AWARENESS) throw new Error('the frame of an update is none');
  sync._handleUpdate(from, frame._isOwn, frame._update, frame._end);
}

function makeMember(awareness: Awareness, origin: object | string): Member {
  const links = new Links({ _selfId: () => 'b', _members: () => ['a'], _postToTabs: () => {} });
  const clock = { now: () => 0, setTimer: () => () => undefined };
  const nothing = (): void => undefined;
  const budget = links._budgetOf('a');
  const from = new Link('a', 'b', false, clock, budget, () => Promise.resolve(), nothing);
  from._isHeard = true;
  links._byId.set('a', from);
  const member = { sync: new AwarenessSync(awareness, origin as object, links), from };
  members.set(awareness, member);
  return member;
}
