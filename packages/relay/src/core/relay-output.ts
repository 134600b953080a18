import type { DialBackResult, SignedRelayRecord } from '@lumamesh/protocol';
import type { LocalRoomEvent } from './remote-rooms.ts';

/**
 * What the relay does next. `send` gives a frame for a session's channel; `close` ends a session
 * after what was sent to it; `dialBack` asks for the relay of a record to be dialled at the address
 * that the session comes from, and for `handleDialledBack`; a {@link LocalRoomEvent} is for the
 * mesh, where there is one.
 */
export type RelayOutput<Session> =
  | { readonly type: 'send'; readonly session: Session; readonly frame: string }
  | {
      readonly type: 'close';
      readonly session: Session;
      readonly reason: string;
      /** Its place is needed: whoever reads nothing would keep it for some seconds. */
      readonly isAbrupt?: true;
    }
  | { readonly type: 'dialBack'; readonly session: Session; readonly record: SignedRelayRecord }
  | LocalRoomEvent;

export interface RelayCounters {
  joins: number;
  signals: number;
  errors: number;
  /** Sessions that were ended for a wrong token. */
  accessDenied: number;
  dialBacks: Record<DialBackResult, number>;
}
