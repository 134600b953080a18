import {
  CHANNEL_ID,
  type RelayMessage,
  type SignedRelayRecord,
  parseRelayMessage,
} from '@lumamesh/protocol';
import { type MeshRelay, connectToRelay, until } from '@lumamesh/testkit';
import type { UdpClient } from '@lumamesh/transport/io';

/* What tests ask of relays of one mesh, and clients that join rooms over UDP. */

/** Whether every relay knows all the others. The first that does not ends the question: asking takes time that thirty processes on two cores need. */
export async function isComplete(relays: readonly MeshRelay[]): Promise<boolean> {
  for (const relay of relays) {
    // A question that a busy relay does not answer is asked again.
    const stats = await relay.stats().catch(() => null);
    if (stats?.records.alive !== relays.length - 1) return false;
  }
  return true;
}

/** A client in one room of one relay. */
export class RoomClient {
  readonly heard: RelayMessage[] = [];
  #client: UdpClient | null = null;

  static async join(record: SignedRelayRecord, room: string, peer: string): Promise<RoomClient> {
    const client = await RoomClient.connect(record);
    client.send({
      action: 'join',
      room: room.padEnd(43, '_'),
      peer: peer.padEnd(22, '_'),
      presence: peer,
    });
    await until(
      () => client.heard.some(({ action }) => action === 'joined'),
      `no joined from ${record.ip}`,
    );
    return client;
  }

  static async connect(record: SignedRelayRecord): Promise<RoomClient> {
    const made = new RoomClient();
    made.#client = await connectToRelay(record, (event) => {
      const message = event.type === 'message' ? parseRelayMessage(String(event.data)) : null;
      if (message?.ok === true) made.heard.push(message.value);
    });
    await until(() => made.heard.length > 0, `no welcome from ${record.ip}`);
    return made;
  }

  send(message: Record<string, unknown>): void {
    this.#client?.send(CHANNEL_ID, JSON.stringify(message));
  }

  sees(peer: string): boolean {
    let isThere = false;
    for (const message of this.heard) {
      if (message.action === 'joined' && message.members.some((member) => member.presence === peer))
        isThere = true;
      if (message.action === 'peer-joined' && message.presence === peer) isThere = true;
      if (message.action === 'peer-left' && message.peer === peer.padEnd(22, '_')) isThere = false;
    }
    return isThere;
  }

  async close(): Promise<void> {
    await this.#client?.close();
  }
}
