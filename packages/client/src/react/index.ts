/*
 * `lumamesh/react`: nets, rooms, peers, presence and actions as hooks. Nothing happens when this is
 * imported, or rendered on a server.
 */
export type { RoomView } from './room-store.ts';
export { useAction } from './use-action.ts';
export { useNet, useNetStatus } from './use-net.ts';
export { usePresence } from './use-presence.ts';
export { type PeersOptions, usePeers, useRoom } from './use-room.ts';
