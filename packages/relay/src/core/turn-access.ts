import type { TurnCredentials } from '@lumamesh/protocol';

/** What a relay that forwards between browsers has of its TURN server. */
export interface TurnAccess<Session> {
  /** Credentials of a session for a room; again the same ones. */
  grant(session: Session, room: string): TurnCredentials;
  /** The session is in the room no more. */
  revoke(session: Session, room: string): void;
}
