import { CHANNEL_ID, CHANNEL_LABEL, type SignedRelayRecord, fingerprintBytes } from '@lumamesh/protocol';
import { DEFAULT_SESSION_LIMITS, type SessionEvent } from '@lumamesh/transport';
import { UdpClient, nodeCrypto } from '@lumamesh/transport/io';

/*
 * The other side of a measurement, in a process of its own: many sessions of the client role against one relay. It is told what to do by messages
 * of its parent and answers each with what it saw.
 */
export type Command =
  | { readonly type: 'connect'; readonly sessions: number; readonly concurrency: number }
  /** Every second session signals to the one beside it: `perSecond` over all pairs, or as fast as answers come with `outstanding` each. */
  | {
      readonly type: 'signal';
      readonly durationMs: number;
      readonly bytes: number;
      readonly perSecond?: number;
      readonly pairs: number;
      readonly outstanding?: number;
    }
  | { readonly type: 'quit' };

interface Member {
  readonly client: UdpClient;
  readonly room: string;
  readonly peer: string;
  readonly other: string;
  onSignal: () => void;
}

const CHANNEL = { id: CHANNEL_ID, properties: { label: CHANNEL_LABEL, subprotocol: '', isUnordered: false } };
// The parent writes the record into our argument.
const record = JSON.parse(process.argv[2] ?? '{}') as SignedRelayRecord;
const members: Member[] = [];

function id(kind: string, n: number): string {
  return `${kind}${n}`.padEnd(22, '-');
}

/** Connects one session and joins its room; answers how long that took. */
async function connectOne(index: number): Promise<number> {
  const startedAt = performance.now();
  return new Promise((resolve, reject) => {
    let client: UdpClient | null = null;
    const pair = index >> 1;
    const onEvent = (event: SessionEvent): void => {
      if (event.type === 'closed') reject(new Error(`session ${index}: ${event.reason} ${event.detail}`));
      if (event.type === 'connected') client?.send(CHANNEL_ID, JSON.stringify({ action: 'join', room: id('room', pair), peer: id('peer', index) }));
      if (event.type !== 'message' || typeof event.data !== 'string') return;
      if (event.data.startsWith('{"action":"signal"')) members[index]?.onSignal();
      else if (event.data.startsWith('{"action":"joined"') && client !== null) {
        members[index] = { client, room: id('room', pair), peer: id('peer', index), other: id('peer', index ^ 1), onSignal: () => undefined };
        resolve(performance.now() - startedAt);
      }
    };
    const options = {
      crypto: nodeCrypto,
      limits: DEFAULT_SESSION_LIMITS,
      negotiatedChannels: [CHANNEL],
      localUfrag: 'bench',
      remoteIce: { ufrag: record.ufrag, password: record.pwd },
      remoteFingerprint: fingerprintBytes(record.fingerprint) ?? new Uint8Array(32),
      certificate: null,
      remote: { address: record.ip, port: record.port },
      onEvent,
    };
    UdpClient.connect(options).then((made) => (client = made), reject);
  });
}

async function connect(sessions: number, concurrency: number): Promise<object> {
  const durations: number[] = [];
  let failed = 0;
  let next = members.length;
  const end = next + sessions;
  const worker = async (): Promise<void> => {
    while (next < end) {
      const index = next++;
      await connectOne(index).then(
        (ms) => durations.push(ms),
        () => (failed += 1),
      );
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  durations.sort((a, b) => a - b);
  const at = (q: number): number => durations[Math.min(durations.length - 1, Math.floor(q * durations.length))] ?? Number.NaN;
  return { connected: durations.length, failed, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
}

async function signal(command: Extract<Command, { type: 'signal' }>): Promise<object> {
  const data = 'x'.repeat(command.bytes);
  let sent = 0;
  let received = 0;
  let isOver = false;
  const send = (member: Member): void => {
    if (member.client.send(CHANNEL_ID, JSON.stringify({ action: 'signal', room: member.room, to: member.other, data }))) sent += 1;
  };
  const senders = members.filter((_, i) => i % 2 === 0).slice(0, command.pairs);
  for (const [i, member] of members.entries()) {
    const partner = members[i ^ 1];
    member.onSignal = () => {
      received += 1;
      // The closed loop: each arrival allows the next.
      if (command.outstanding !== undefined && !isOver && partner !== undefined) send(partner);
    };
  }
  if (command.outstanding !== undefined) for (const member of senders) for (let i = 0; i < command.outstanding; i++) send(member);
  const startedAt = performance.now();
  let turn = 0;
  while (performance.now() - startedAt < command.durationMs) {
    await new Promise((resolve) => setTimeout(resolve, 2));
    if (command.perSecond === undefined) continue;
    const due = ((performance.now() - startedAt) / 1000) * command.perSecond;
    for (; sent < due; turn++) {
      const member = senders[turn % senders.length];
      if (member !== undefined) send(member);
    }
  }
  isOver = true;
  const elapsedMs = performance.now() - startedAt;
  await new Promise((resolve) => setTimeout(resolve, 300));
  return { sent, received, elapsedMs };
}

process.on('message', (command: Command) => {
  void (async () => {
    if (command.type === 'connect') process.send?.(await connect(command.sessions, command.concurrency));
    else if (command.type === 'signal') process.send?.(await signal(command));
    else {
      await Promise.all(members.map(({ client }) => client.close()));
      process.exit(0);
    }
  })();
});
process.send?.('ready');
