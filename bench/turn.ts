import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { type Socket, createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import { RelayProcess, TurnClient, channelData, connectToRelay } from '@lumamesh/testkit';
import { nodeCrypto } from '@lumamesh/transport/io';
import { cpuMs } from './process-usage.ts';

/*
 * `npm run bench:turn -- [--rounds 3] [--seconds 5] [--rate 4000] [--json FILE]`: what forwarding
 * 1200 bytes costs a relay, and coturn, each in a process of its own, by turns: user and system
 * time per datagram that arrived. Both ends have an allocation, as two browsers have that both need
 * one; channels are bound, as Chromium binds them. Linux only. Without coturn (Debian: `apt-get
 * install coturn`) it says so, and measures the relay alone.
 */
const PAYLOAD = new Uint8Array(1200);
const CHANNEL = 0x4000;
const TURN_MS = 5;
const REPLY_MS = 3000;
const COTURN_PORT = 27_478;
const ROOM = 'f'.repeat(43);

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '5' },
    rate: { type: 'string', default: '4000' },
    json: { type: 'string' },
  },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);
const rate = Number(values.rate);

interface Credentials {
  readonly username: string;
  readonly password: string;
}

/** A TURN server that runs, and how to get in. */
interface Server {
  readonly pid: number;
  readonly port: number;
  readonly credentials: readonly [Credentials, Credentials];
  stop(): Promise<void>;
}

interface Figures {
  readonly microseconds: number;
  readonly arrived: number;
  readonly sent: number;
}

async function startRelay(native: 'auto' | 'off'): Promise<Server> {
  const folder = mkdtempSync(join(tmpdir(), 'lumamesh-turn-'));
  const all = '999999999';
  const relay = new RelayProcess({
    cwd: folder,
    environment: {
      UDP_PORT: String(20_000 + Math.floor(Math.random() * 7000)),
      PUBLIC_IP: '127.0.0.1',
      LISTEN_IP: '127.0.0.1',
      NATIVE_IO: native,
      TURN_RATE: all,
      TURN_RATE_PER_PAIR: all,
      TURN_RATE_PER_SESSION: all,
      TURN_RATE_PER_ROOM: all,
      TURN_RATE_PER_ADDRESS: all,
    },
  });
  const record = await relay.ready();
  const [one, other] = [await enter(record, 'a'), await enter(record, 'b')];
  return {
    pid: relay.child.pid ?? 0,
    port: record.port,
    credentials: [one.credentials, other.credentials],
    async stop() {
      await Promise.all([one.close(), other.close()]);
      relay.child.kill('SIGTERM');
      if (!relay.hasEnded) await once(relay.child, 'exit');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A member of the room, and the credentials that it got. */
async function enter(
  record: SignedRelayRecord,
  peer: string,
): Promise<{ readonly credentials: Credentials; close(): Promise<void> }> {
  const { promise, resolve } = Promise.withResolvers<Credentials>();
  const client = await connectToRelay(record, (event) => {
    if (event.type === 'channelOpen')
      client.send(0, JSON.stringify({ action: 'join', room: ROOM, peer: peer.repeat(22) }));
    if (event.type !== 'message' || typeof event.data !== 'string') return;
    const { turn } = JSON.parse(event.data) as { turn?: Credentials };
    if (turn !== undefined) resolve(turn);
  });
  return { credentials: await promise, close: async () => client.close() };
}

async function startCoturn(): Promise<Server> {
  const user: Credentials = { username: 'bench', password: 'bench' };
  const child: ChildProcess = spawn(
    'turnserver',
    [
      [
        '-n',
        '--lt-cred-mech',
        '--realm=bench',
        '--user=bench:bench',
        '--no-cli',
        '--log-file=stdout',
      ],
      ['--listening-ip=127.0.0.1', '--relay-ip=127.0.0.1', `--listening-port=${COTURN_PORT}`],
      ['--allow-loopback-peers', '--no-tls', '--no-dtls', '--no-tcp', '--relay-threads=1'],
      ['--pidfile=/dev/null', '--simple-log', '--no-stdout-log'],
    ].flat(),
    { stdio: 'ignore' },
  );
  await sleep(1000);
  return {
    pid: child.pid ?? 0,
    port: COTURN_PORT,
    credentials: [user, user],
    async stop() {
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

/** One end of a forwarded path. */
class End {
  readonly client: TurnClient;
  readonly socket: Socket;
  readonly #port: number;
  relayed = { address: '', port: 0 };

  private constructor(port: number, socket: Socket, credentials: Credentials) {
    this.#port = port;
    this.socket = socket;
    this.client = new TurnClient(nodeCrypto, credentials);
  }

  static async make(port: number, credentials: Credentials): Promise<End> {
    const socket = createSocket({ type: 'udp4', recvBufferSize: 4_194_304 });
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    const end = new End(port, socket, credentials);
    await end.ask(() => end.client.allocate());
    return end;
  }

  send(datagram: Uint8Array): void {
    this.socket.send(datagram, this.#port, '127.0.0.1');
  }

  /** Asks, once more with the credentials that the first reply wants. */
  async ask(make: () => Uint8Array): Promise<void> {
    for (let attempt = 0; attempt < 3; attempt++) {
      this.send(make());
      const signal = AbortSignal.timeout(REPLY_MS);
      const [reply] = (await once(this.socket, 'message', { signal })) as [Uint8Array];
      const read = this.client.read(reply);
      if (read?.code === null) {
        this.relayed = read.relayed ?? this.relayed;
        return;
      }
      if (read?.code !== 401 && read?.code !== 438)
        throw new Error(`the server refuses: ${read?.code}`);
    }
    throw new Error('the server wants other credentials');
  }
}

async function measure({ pid, port, credentials }: Server): Promise<Figures> {
  const [a, b] = [await End.make(port, credentials[0]), await End.make(port, credentials[1])];
  await a.ask(() => a.client.bind(CHANNEL, b.relayed));
  await b.ask(() => b.client.bind(CHANNEL, a.relayed));
  let arrived = 0;
  b.socket.on('message', (data) => (arrived += Number(data.length >= PAYLOAD.length)));
  const datagram = channelData(CHANNEL, PAYLOAD);
  const send = async (forSeconds: number): Promise<number> => {
    const startedAt = performance.now();
    let sent = 0;
    while (performance.now() - startedAt < forSeconds * 1000) {
      const due = ((performance.now() - startedAt) / 1000) * rate;
      for (; sent < due; sent++) a.send(datagram);
      await sleep(TURN_MS);
    }
    await sleep(200);
    return sent;
  };
  // What a compiler does at first is not what is measured.
  await send(2);
  arrived = 0;
  const before = cpuMs(pid);
  const sent = await send(seconds);
  const cpu = cpuMs(pid) - before;
  a.socket.close();
  b.socket.close();
  return { microseconds: (cpu * 1e3) / arrived, arrived, sent };
}

const hasCoturn = spawnSync('turnserver', ['--version'], { stdio: 'ignore' }).error === undefined;
if (!hasCoturn) process.stderr.write('SKIPPED: coturn (Debian: apt-get install coturn)\n');
const servers: Readonly<Record<string, () => Promise<Server>>> = {
  relay: async () => startRelay('auto'),
  'relay without native I/O': async () => startRelay('off'),
  ...(hasCoturn ? { coturn: startCoturn } : {}),
};
const names = Object.keys(servers);
const results = new Map<string, Figures[]>(names.map((name) => [name, []]));
for (let round = 0; round < rounds; round++)
  for (let i = 0; i < names.length; i++) {
    const name = names[(i + round) % names.length] ?? '';
    const server = await servers[name]?.();
    if (server === undefined) continue;
    try {
      const figures = await measure(server);
      results.get(name)?.push(figures);
      const { microseconds, arrived, sent } = figures;
      process.stdout.write(`${name}: ${microseconds.toFixed(1)} µs, ${arrived} of ${sent}\n`);
    } finally {
      await server.stop();
    }
  }
const median = (name: string): number =>
  (results.get(name) ?? []).map(({ microseconds }) => microseconds).toSorted((x, y) => x - y)[
    Math.floor(rounds / 2)
  ] ?? Number.NaN;
const base = median('coturn');
for (const name of names)
  process.stdout.write(
    `${name.padEnd(26)}${median(name).toFixed(1)} µs of CPU a datagram, ${(PAYLOAD.length / median(name)).toFixed(0)} MB/s a core${hasCoturn ? `, ${(median(name) / base).toFixed(2)} × coturn` : ''}\n`,
  );
process.stdout.write(`load ${loadavg()[0]?.toFixed(1)}\n`);
if (values.json !== undefined)
  writeFileSync(values.json, `${JSON.stringify(Object.fromEntries(results), null, 2)}\n`);
