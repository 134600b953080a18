import { CHANNEL_ID, CHANNEL_LABEL } from '@lumamesh/protocol';
import type { NegotiatedChannel } from '@lumamesh/transport';

/** The one channel between a client and a relay, there from the start on both sides. */
export const LUMAMESH_CHANNEL: NegotiatedChannel = { id: CHANNEL_ID, properties: { label: CHANNEL_LABEL, subprotocol: '', isUnordered: false } };
