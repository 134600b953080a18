/**
 * How values go to a peer: `direct`, by a connection between the two; `relayed`, by a connection
 * whose datagrams a TURN server passes on, end-to-end encrypted; `forwarded`, through another
 * member; `none` just now.
 */
export type PeerPath = 'direct' | 'relayed' | 'forwarded' | 'none';
