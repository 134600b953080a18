import {
  Fifo,
  type Instant,
  type SyncCrypto,
  type TokenBucket,
  later,
  toBase64Url,
  utf8Encode,
} from '@lumamesh/base';
import type { SessionId } from '../session-table.ts';

/** How long forwarding goes on after its session has gone: it comes again, and gets new credentials. */
const GRACE_MS = 60_000;
const USERNAME_BYTES = 12;
const PASSWORD_BYTES = 24;
/** Short, as it stands in every 401. */
export const TURN_REALM = 'luma';

/** What the grants of one session or of one room have in common. */
export interface GrantScope {
  grants: number;
  /** Made with the first allocation. */
  bytes: TokenBucket | null;
  allocations: number;
}

/** That one session may use TURN for one room. */
export interface TurnGrant {
  readonly username: string;
  readonly session: GrantScope;
  readonly room: GrantScope;
  readonly sessionId: SessionId;
  readonly roomId: string;
  /** Of MESSAGE-INTEGRITY; made when it is first needed. */
  key: Uint8Array | null;
  /** When it ends; `null` while the session is in the room. */
  endsAt: Instant | null;
  allocations: number;
}

export interface TurnCredentials {
  readonly username: string;
  readonly password: string;
}

/**
 * The ephemeral credentials of sessions in rooms. Both texts are HMACs, under a key that lives as
 * long as the process, of session and room; nobody can make them up, and they end with the stay.
 */
export class TurnGrants {
  readonly #crypto: SyncCrypto;
  readonly #secret: Uint8Array;
  readonly #grants = new Map<string, TurnGrant>();
  readonly #sessions = new Map<SessionId, GrantScope>();
  readonly #rooms = new Map<string, GrantScope>();
  /** In the order in which they end. */
  readonly #ending = new Fifo<{ readonly grant: TurnGrant; readonly at: Instant }>();

  constructor(crypto: SyncCrypto) {
    this.#crypto = crypto;
    this.#secret = crypto.randomBytes(32);
  }

  get size(): number {
    return this.#grants.size;
  }

  get deadline(): Instant | null {
    return this.#ending.peek()?.at ?? null;
  }

  /** The grant of a username, or `null` when there is none. */
  find(username: string): TurnGrant | null {
    return this.#grants.get(username) ?? null;
  }

  /** Grants TURN to a session for as long as it is in a room; again the same credentials. */
  grant(sessionId: SessionId, roomId: string): TurnCredentials {
    const username = this.#derive('username', sessionId, roomId, USERNAME_BYTES);
    const existing = this.#grants.get(username);
    if (existing !== undefined) existing.endsAt = null;
    else {
      const session = scopeOf(this.#sessions, sessionId);
      const room = scopeOf(this.#rooms, roomId);
      session.grants += 1;
      room.grants += 1;
      this.#grants.set(username, {
        username,
        session,
        room,
        sessionId,
        roomId,
        key: null,
        endsAt: null,
        allocations: 0,
      });
    }
    return { username, password: this.#derive('password', sessionId, roomId, PASSWORD_BYTES) };
  }

  /** The session is in the room no more; what it has allocated stays for {@link GRACE_MS}. */
  revoke(now: Instant, sessionId: SessionId, roomId: string): void {
    if (!this.#sessions.has(sessionId)) return;
    const grant = this.find(this.#derive('username', sessionId, roomId, USERNAME_BYTES));
    if (grant === null || grant.endsAt !== null) return;
    if (grant.allocations === 0) return this.#remove(grant);
    grant.endsAt = later(now, GRACE_MS);
    this.#ending.push({ grant, at: grant.endsAt });
  }

  /** @returns A grant that has ended by now, removed, or `null`. */
  takeEnded(now: Instant): TurnGrant | null {
    for (
      let next = this.#ending.peek();
      next !== undefined && next.at <= now;
      next = this.#ending.peek()
    ) {
      this.#ending.shift();
      // It may have been granted again, and revoked again.
      if (next.grant.endsAt !== next.at) continue;
      this.#remove(next.grant);
      return next.grant;
    }
    return null;
  }

  /** RFC 8489 §9.2.2: `key = MD5(username ":" realm ":" password)`. */
  keyOf(grant: TurnGrant): Uint8Array {
    if (grant.key === null) {
      const password = this.#derive('password', grant.sessionId, grant.roomId, PASSWORD_BYTES);
      const text = utf8Encode(`${grant.username}:${TURN_REALM}:${password}`);
      grant.key = this.#crypto.hash('md5', text);
    }
    return grant.key;
  }

  #derive(purpose: string, sessionId: SessionId, roomId: string, bytes: number): string {
    const text = utf8Encode(`lumamesh turn ${purpose}\n${sessionId}\n${roomId}`);
    return toBase64Url(this.#crypto.hmac('sha256', this.#secret, text).subarray(0, bytes));
  }

  #remove(grant: TurnGrant): void {
    this.#grants.delete(grant.username);
    release(this.#sessions, grant.sessionId, grant.session);
    release(this.#rooms, grant.roomId, grant.room);
  }
}

function scopeOf<Key>(scopes: Map<Key, GrantScope>, key: Key): GrantScope {
  let scope = scopes.get(key);
  if (scope === undefined) scopes.set(key, (scope = { grants: 0, bytes: null, allocations: 0 }));
  return scope;
}

function release<Key>(scopes: Map<Key, GrantScope>, key: Key, scope: GrantScope): void {
  scope.grants -= 1;
  if (scope.grants === 0) scopes.delete(key);
}
