import type { PeerRole } from '../api.ts';
import { fieldsOf } from '../peer/signal.ts';

/* What members of rooms say of themselves, which they may write as they like. */

const MAX_NICK_LENGTH = 64;

export function nickOf(presence: unknown): string {
  const { nick } = fieldsOf(presence);
  return typeof nick === 'string' ? nick.slice(0, MAX_NICK_LENGTH) : '';
}

export function roleOf(presence: unknown): PeerRole {
  return fieldsOf(presence)['role'] === 'observer' ? 'observer' : 'member';
}
