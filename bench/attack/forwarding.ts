import type { Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { type Socket, createConnection } from 'node:net';
import { randomBytes } from 'node:crypto';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import { TurnClient, channelData } from '@lumamesh/testkit';
import { nodeCrypto } from '@lumamesh/transport/io';
import { type Attack, FROM, flood, floodFrom, members } from './flood.ts';
import { socketAt } from './stub.ts';

/* TURN and TCP of a relay that has both on, by strangers and by members. */
const ENVIRONMENT = { TURN_RATE: '4000000', TCP_PORT: '28445' };
const ROOM = 't'.repeat(43);
const REPLY_MS = 2000;
const TCP_SOCKETS_A_TURN = 20;
const TCP_TURN_MS = 20;
/** Of our own, for a relay that reads slowly. */
const MAX_WAITING = 65_536;

interface Credentials {
  readonly username: string;
  readonly password: string;
}

/** Credentials that members of a room got with `joined`; `leave` makes them leave it. */
async function credentials(
  record: SignedRelayRecord,
  count: number,
): Promise<Credentials[] & { leave: () => void }> {
  const got: Credentials[] = [];
  const stubs = await members(record, count, (frame) => {
    const { turn } = JSON.parse(frame) as { turn?: Credentials };
    if (turn !== undefined) got.push(turn);
  });
  for (const [i, stub] of stubs.entries())
    stub.say({ action: 'join', room: ROOM, peer: `${i}`.padEnd(22, 't') });
  for (let i = 0; i < 100 && got.length < count; i++)
    await new Promise((resolve) => setTimeout(resolve, 50));
  const leave = (): void => {
    for (const stub of stubs) stub.say({ action: 'leave', room: ROOM });
  };
  return Object.assign(got, { leave });
}

/** Somebody with a port, who may ask the TURN server. */
class Asker {
  readonly client: TurnClient;
  relayed = { address: '198.18.0.1', port: 50_000 };
  readonly #socket: UdpSocket;
  readonly #record: SignedRelayRecord;

  private constructor(record: SignedRelayRecord, socket: UdpSocket, credential: Credentials) {
    this.#record = record;
    this.#socket = socket;
    this.client = new TurnClient(nodeCrypto, credential);
  }

  static async at(record: SignedRelayRecord, credential: Credentials): Promise<Asker> {
    const asker = new Asker(record, await socketAt(FROM), credential);
    // The first is answered by a 401, which the second makes use of.
    await asker.#ask(asker.client.allocate());
    await asker.#ask(asker.client.allocate());
    return asker;
  }

  throw(datagram: Uint8Array): number {
    this.#socket.send(datagram, this.#record.port, this.#record.ip);
    return datagram.length;
  }

  async #ask(datagram: Uint8Array): Promise<void> {
    this.throw(datagram);
    const timeout = AbortSignal.timeout(REPLY_MS);
    const [reply] = (await once(this.#socket, 'message', { signal: timeout }).catch(() => [])) as [
      Uint8Array?,
    ];
    const read = reply === undefined ? null : this.client.read(reply);
    if (read?.relayed !== undefined && read.relayed !== null) this.relayed = read.relayed;
  }
}

/** Sends the same requests again and again: to sign new ones costs an attacker more than the relay. */
function repeat(
  askers: readonly Asker[],
  make: (client: TurnClient) => readonly Uint8Array[],
): void {
  const prepared = askers.map(({ client }) => make(client));
  flood((i) => {
    const requests = prepared[i % askers.length] ?? [];
    const datagram = requests[Math.floor(i / askers.length) % requests.length];
    return datagram === undefined ? 0 : (askers[i % askers.length]?.throw(datagram) ?? 0);
  });
}

const NOBODY: Credentials = { username: 'nobody', password: 'nothing' };

function connect(record: SignedRelayRecord): Socket {
  const { ip: host, tcpPort: port = 0 } = record;
  return createConnection({ host, port, localAddress: FROM }).on('error', () => undefined);
}

/** Opens connections for ever, and does with each what `use` does. */
function connections(record: SignedRelayRecord, use: (socket: Socket, i: number) => void): void {
  let i = 0;
  setInterval(() => {
    for (let n = 0; n < TCP_SOCKETS_A_TURN; n++) {
      use(connect(record), i++);
    }
  }, TCP_TURN_MS);
}

/** What strangers throw at the server, in turn. */
const noise = new TurnClient(nodeCrypto, NOBODY);

export const FORWARDING: Readonly<Record<string, Attack>> = {
  'turn-strangers': {
    what: 'Allocates without credentials, from many ports',
    environment: ENVIRONMENT,
    run: async (record) => floodFrom(record, () => noise.allocate()),
  },
  'turn-guesses': {
    what: 'requests with made-up users, signed, with a nonce that is right',
    environment: ENVIRONMENT,
    run: async (record) => {
      const askers = await Promise.all(
        Array.from({ length: 16 }, async () => Asker.at(record, NOBODY)),
      );
      repeat(askers, (client) => [client.allocate()]);
    },
  },
  'turn-stolen': {
    what: 'the credentials of one session, used from 64 ports',
    environment: ENVIRONMENT,
    run: async (record) => {
      const [stolen = NOBODY] = await credentials(record, 1);
      const askers: Asker[] = [];
      for (let i = 0; i < 64; i++) askers.push(await Asker.at(record, stolen));
      repeat(askers, (client) => [client.allocate(), client.refresh(600)]);
    },
  },
  'turn-allocations': {
    what: 'members who allocate as much as they get, and give it back',
    environment: ENVIRONMENT,
    run: async (record) => {
      const got = await credentials(record, 32);
      const askers: Asker[] = [];
      for (let i = 0; i < 256; i++)
        askers.push(await Asker.at(record, got[i % got.length] ?? NOBODY));
      repeat(askers, (client) => [client.refresh(0), client.allocate()]);
    },
  },
  'turn-expired': {
    what: 'credentials of members who have left, signed and with a nonce that is right',
    environment: ENVIRONMENT,
    run: async (record) => {
      const got = await credentials(record, 16);
      const askers = await Promise.all(got.map(async (one) => Asker.at(record, one)));
      got.leave();
      repeat(askers, (client) => [client.allocate(), client.refresh(600)]);
    },
  },
  'turn-permissions': {
    what: 'permissions and channels for addresses of everybody else',
    environment: ENVIRONMENT,
    run: async (record) => {
      const [credential = NOBODY] = await credentials(record, 1);
      const asker = await Asker.at(record, credential);
      flood((i) => {
        const [a = 0, b = 0, c = 0, d = 0] = randomBytes(4);
        const peer = { address: `${a}.${b}.${c}.${d}`, port: 1 + (i % 65_535) };
        const { client } = asker;
        return asker.throw(i % 2 === 0 ? client.permit(peer) : client.bind(0x4000, peer));
      });
    },
  },
  'turn-forged': {
    what: 'ChannelData and Send of who has allocated nothing',
    environment: ENVIRONMENT,
    run: async (record) => {
      const payload = new Uint8Array(40);
      await floodFrom(record, (i) =>
        i % 2 === 0
          ? channelData(0x4000 + (i % 64), payload)
          : noise.send({ address: '198.18.7.7', port: 50_000 }, payload),
      );
    },
  },
  'turn-bandwidth': {
    what: 'members who joined a room only to have their bytes forwarded',
    environment: ENVIRONMENT,
    run: async (record) => {
      const got = await credentials(record, 16);
      const askers = await Promise.all(got.map(async (one) => Asker.at(record, one)));
      for (const [i, asker] of askers.entries()) {
        const peer = askers[i ^ 1];
        if (peer !== undefined) asker.throw(asker.client.bind(0x4000, peer.relayed));
      }
      const payload = new Uint8Array(1200);
      flood((i) => askers[i % askers.length]?.throw(channelData(0x4000, payload)) ?? 0);
    },
  },
  'tcp-silence': {
    what: 'TCP connections that say nothing, a thousand a second',
    environment: ENVIRONMENT,
    run: async (record) => connections(record, () => undefined),
  },
  'tcp-noise': {
    what: 'TCP connections that begin as they should, and go on with noise',
    environment: ENVIRONMENT,
    run: async (record) =>
      connections(record, (socket, i) => {
        socket.write(noise.allocate());
        socket.write(i % 2 === 0 ? randomBytes(4096) : channelData(0x4000, randomBytes(1000)));
        // Whoever reads nothing has 256 KB kept for him at most.
        socket.pause();
      }),
  },
  'tcp-deaf': {
    what: 'TCP connections that ask all the time and read nothing of the answers',
    environment: ENVIRONMENT,
    run: async (record) => {
      const asking = noise.allocate();
      const deaf = await Promise.all(
        Array.from({ length: 32 }, async () => {
          const socket = connect(record).pause();
          await once(socket, 'connect').catch(() => undefined);
          return socket;
        }),
      );
      flood((i) => {
        const at = i % deaf.length;
        // It is closed when too much waits for it.
        if (deaf[at]?.destroyed === true) deaf[at] = connect(record).pause();
        const socket = deaf[at];
        if (socket === undefined || socket.writableLength > MAX_WAITING) return 0;
        socket.write(asking);
        return asking.length;
      });
    },
  },
};
