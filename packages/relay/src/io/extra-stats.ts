import { DATAGRAM_HEADER_BYTES } from '@lumamesh/transport';
import type { UdpEndpoint } from '@lumamesh/transport/io';
import type { RelayConfig } from './config/config.ts';
import type { MeshLife } from './mesh-life.ts';
import type { RelayStats } from './relay-stats.ts';

/** What only relays have that were told to. */
export function extraStats(
  udp: UdpEndpoint | null,
  bytesPerSecond: number,
): Pick<RelayStats, 'turn' | 'tcp' | 'bandwidth'> {
  const turn = udp?.endpoint.turn?.counts;
  const sockets = udp?.tcp?.sockets;
  const bandwidth = udp?.endpoint.bandwidth ?? undefined;
  return {
    ...(turn === undefined ? {} : { turn: { ...turn, bytesPerSecond } }),
    ...(sockets === undefined ? {} : { tcp: { sockets } }),
    ...(bandwidth === undefined
      ? {}
      : {
          bandwidth: {
            bytesPerSecond: bandwidth.bytesPerSecond,
            waitingBytes: bandwidth.waitingBytes,
          },
        }),
  };
}

/** Who runs the relay, as its record says it. */
export function operatorOf({
  nickname,
  contact,
}: Pick<RelayConfig, 'nickname' | 'contact'>): Pick<RelayStats['record'], 'nickname' | 'contact'> {
  return {
    ...(nickname === undefined ? {} : { nickname }),
    ...(contact === undefined ? {} : { contact }),
  };
}

/** What was sent and received since the start, in bytes: the headers of datagrams, and the mesh, too. */
export function readTotal({ traffic }: UdpEndpoint, mesh: MeshLife | null): number {
  const datagrams = traffic.datagramsIn + traffic.datagramsOut;
  const ofMesh = Object.values(mesh?.server?.stats().traffic ?? {}).reduce(
    (sum, { inBytes, outBytes }) => sum + inBytes + outBytes,
    0,
  );
  return traffic.bytesIn + traffic.bytesOut + datagrams * DATAGRAM_HEADER_BYTES + ofMesh;
}
