/*
 * `lumamesh/relay-list`: signed lists of relays, which a page may embed, or take from anybody.
 *
 *   const net = connect({ relays: await openRelayList(LIST, KEY) });
 */
export { openRelayList } from './platform/browser/open-relay-list.ts';
