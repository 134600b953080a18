import { LumameshError } from '@lumamesh/base';
import { TcpListener, queryStunOverTcp } from '@lumamesh/transport/io';
import type { RelayConfig } from '../config/config.ts';
import type { Finding } from './finding.ts';

const TIMEOUT_MS = 3000;
const NAME = 'TCP port';

/** Whether TCP_PORT is to be had, or is this relay's already; nothing where it is not set. */
export async function* checkTcpPort({ tcpPort, listenIp }: RelayConfig): AsyncGenerator<Finding> {
  if (tcpPort === undefined) return;
  try {
    const listener = await TcpListener.start({
      port: tcpPort,
      ...(listenIp === undefined ? {} : { address: listenIp }),
      limits: { maxSockets: 0, socketsPerHost: 0, socketsPerNetwork: 0 },
      onDatagram: () => undefined,
      isKnown: () => false,
      onEnd: () => undefined,
      onDrop: () => undefined,
    });
    await listener.close();
    yield { name: NAME, verdict: 'ok', detail: `TCP ${tcpPort} is free` };
  } catch (error) {
    const isTaken = error instanceof LumameshError && error.code === 'PORT_IN_USE';
    const server = { address: listenIp ?? '127.0.0.1', port: tcpPort };
    const answer = isTaken ? await queryStunOverTcp(server, TIMEOUT_MS).catch(() => null) : null;
    yield answer === null
      ? {
          name: NAME,
          verdict: 'fail',
          detail: (error as Error).message,
          mend: 'end the other program (a web server has 443, as a rule), or set TCP_PORT to another port; ports below 1024 need CAP_NET_BIND_SERVICE',
        }
      : { name: NAME, verdict: 'ok', detail: `a relay is running on TCP ${tcpPort} already` };
  }
}
