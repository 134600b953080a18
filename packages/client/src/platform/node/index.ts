import type { ConnectOptions } from '../../api.ts';
import { type Net, connectOn } from '../../library.ts';
import { browserPlatform } from '../browser/browser-platform.ts';
import { dialRelay } from './dial-relay.ts';
import { mendedConnection } from './mended-connection.ts';

export { LumameshError } from '@lumamesh/base';
export type * from '../../index.ts';

export interface NodeConnectOptions extends ConnectOptions {
  /**
   * What peers are reached with, such as `import * as webrtc from 'node-datachannel/polyfill'`.
   * Without it relays are reached and rooms joined all the same (a bot that watches who is there);
   * peers end in `WEBRTC_MISSING`.
   */
  readonly webrtc?: { readonly RTCPeerConnection: unknown };
}

/**
 * `connect` for Node 22 and newer: relays are reached over UDP by the library's own transport,
 * peers by whatever WebRTC implementation is given. Nothing is remembered unless `storage` is
 * given; `net.close()` lets the process end.
 */
export function connect({ webrtc, storage = null, ...options }: NodeConnectOptions = {}): Net {
  // Whatever is given has the shape of the browsers' class, or its constructor will say so.
  const given = (webrtc?.RTCPeerConnection ?? null) as typeof RTCPeerConnection | null;
  const PeerConnection = given && mendedConnection(given);
  const platform = { ...browserPlatform(), PeerConnection, dialRelay, storage: () => null };
  return connectOn(platform, { ...options, storage });
}
