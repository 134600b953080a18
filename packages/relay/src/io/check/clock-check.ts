import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { lookup } from 'node:dns/promises';

const NTP_PORT = 123;
const PACKET_BYTES = 48;
/** RFC 4330 §4: leap 0, version 4, mode 3 (client). */
const CLIENT_V4 = 0x23;
const MODE_SERVER = 4;
/** Leap indicator: alarm. */
const UNSYNCHRONISED = 3;
const MAX_STRATUM = 15;
/** Where a server writes when it answered (RFC 4330 §4): seconds since 1900, and 2^-32ths. */
const TRANSMIT_AT = 40;
const ORIGINATE_AT = 24;
const SECONDS_1900_TO_1970 = 2_208_988_800;
const FRACTION = 2 ** 32;

/**
 * How far this machine's clock is from a time server's, in ms (positive: ours is ahead), by one
 * SNTP question (RFC 4330 §5); half of the round trip is its error. `null` when no answer comes
 * within `timeoutMs`.
 */
export async function askClock(
  server: { readonly host: string; readonly port?: number },
  timeoutMs: number,
): Promise<number | null> {
  const { address, family } = await lookup(server.host);
  const socket = createSocket(family === 6 ? 'udp6' : 'udp4');
  const request = Buffer.alloc(PACKET_BYTES);
  request[0] = CLIENT_V4;
  // The server repeats what stands here: so its answer is known to be one to us.
  request.writeBigUInt64BE(process.hrtime.bigint(), TRANSMIT_AT);
  try {
    const sentAt = Date.now();
    socket.send(request, server.port ?? NTP_PORT, address);
    for await (const [data] of readMessages(socket, timeoutMs)) {
      const receivedAt = Date.now();
      const [first = 0, stratum = 0] = data;
      // RFC 4330 §5: a server that is itself unsynchronised, or sends a kiss of death (stratum 0),
      // tells no time.
      const isAnswer =
        data.length >= PACKET_BYTES &&
        (first & 7) === MODE_SERVER &&
        first >> 6 !== UNSYNCHRONISED &&
        stratum >= 1 &&
        stratum <= MAX_STRATUM;
      if (
        !isAnswer ||
        !data.subarray(ORIGINATE_AT, ORIGINATE_AT + 8).equals(request.subarray(TRANSMIT_AT))
      )
        continue;
      const seconds =
        data.readUInt32BE(TRANSMIT_AT) -
        SECONDS_1900_TO_1970 +
        data.readUInt32BE(TRANSMIT_AT + 4) / FRACTION;
      return (sentAt + receivedAt) / 2 - seconds * 1000;
    }
    return null;
  } finally {
    socket.close();
  }
}

async function* readMessages(
  socket: ReturnType<typeof createSocket>,
  timeoutMs: number,
): AsyncGenerator<readonly [Buffer]> {
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    for (;;) yield (await once(socket, 'message', { signal })) as [Buffer];
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
