import { type Remote } from '@lumamesh/transport';
import { type UdpEndpoint, newTransactionId, queryStun } from '@lumamesh/transport/io';

/**
 * `drowned`: nothing came back, but the port took so many datagrams meanwhile that ours may have
 * been among those the kernel had no place for. It says that the relay is under fire, and not that
 * its port is dead.
 */
export type SelfCheck = 'answered' | 'unanswered' | 'drowned';

/** As many a second as a relay with thousands of sessions has on a busy day. */
const DROWNING_PER_SECOND = 2000;

/**
 * Asks a relay's own UDP port from outside, as a STUN client. Its questions have a budget of their
 * own: what strangers ask takes nothing of it.
 */
export async function checkSelf(
  udp: UdpEndpoint,
  where: Remote,
  timeoutMs: number,
): Promise<SelfCheck> {
  const transactionId = newTransactionId();
  const { datagramsIn } = udp.traffic;
  udp.endpoint.expectQuestion(transactionId);
  const answer = await queryStun(where, timeoutMs, transactionId).catch(() => null);
  if (answer !== null) return 'answered';
  const taken = udp.traffic.datagramsIn - datagramsIn;
  return taken > (DROWNING_PER_SECOND * timeoutMs) / 1000 ? 'drowned' : 'unanswered';
}
