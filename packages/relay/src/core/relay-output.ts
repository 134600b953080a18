import type { LocalRoomEvent } from './remote-rooms.ts';

/**
 * What the relay does next. `send` gives a frame for a session's channel; `close` ends a session
 * after what was sent to it; a {@link LocalRoomEvent} is for the mesh, where there is one.
 */
export type RelayOutput<Session> =
  | { readonly type: 'send'; readonly session: Session; readonly frame: string }
  | { readonly type: 'close'; readonly session: Session; readonly reason: string }
  | LocalRoomEvent;

export interface RelayCounters {
  joins: number;
  signals: number;
  errors: number;
}
