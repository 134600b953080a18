import { WebSocket } from 'ws';
import {
  CHANNEL_ID,
  LUMAMESH_CHANNEL,
  type SignedRelayRecord,
  fingerprintBytes,
} from '@lumamesh/protocol';
import { DEFAULT_SESSION_LIMITS, type SessionEvent } from '@lumamesh/transport';
import { UdpClient, chooseIoPath } from '@lumamesh/transport/io';

/*
 * The other side of a measurement, in a process of its own: many sessions of the client role
 * against one relay. It is told what to do by messages of its parent and answers each with what it
 * saw.
 */
export type Command =
  | {
      readonly type: 'connect';
      readonly sessions: number;
      readonly concurrency: number;
      /** In one room; otherwise two in each. */
      readonly inOneRoom?: boolean;
    }
  /**
   * Every second session signals to the one beside it: `perSecond` over all pairs, or as fast as
   * answers come with `outstanding` each.
   */
  | {
      readonly type: 'signal';
      readonly durationMs: number;
      readonly bytes: number;
      readonly perSecond?: number;
      readonly pairs: number;
      readonly outstanding?: number;
    }
  | { readonly type: 'quit' };

/** What is put under load. */
export type Target =
  | { readonly type: 'webrtc'; readonly record: DialledRecord }
  | { readonly type: 'ws'; readonly url: string };

/** The part of a relay's record that is needed to dial it. */
export type DialledRecord = Pick<
  SignedRelayRecord,
  'ip' | 'port' | 'ufrag' | 'pwd' | 'fingerprint'
>;

/** One session, whatever carries it. */
interface Line {
  send(frame: string): boolean;
  close(): void;
}

interface LineEvents {
  open(line: Line): void;
  frame(frame: string): void;
  closed(reason: string): void;
}

interface Member {
  readonly line: Line;
  readonly room: string;
  readonly other: string;
  onSignal: () => void;
}

// The parent writes the target into our argument.
const target = JSON.parse(process.argv[2] ?? '{}') as Target;
const members: Member[] = [];
const { crypto } = chooseIoPath('auto');

function id(kind: string, n: number): string {
  return `${kind}${n}`.padEnd(22, '-');
}

async function openWebRtc(record: DialledRecord, events: LineEvents): Promise<void> {
  const client = await UdpClient.connect({
    crypto,
    limits: DEFAULT_SESSION_LIMITS,
    negotiatedChannels: [LUMAMESH_CHANNEL],
    localUfrag: 'bench',
    remoteIce: { ufrag: record.ufrag, password: record.pwd },
    remoteFingerprint: fingerprintBytes(record.fingerprint) ?? new Uint8Array(32),
    certificate: null,
    remote: { address: record.ip, port: record.port },
    onEvent: (event: SessionEvent) => {
      if (event.type === 'closed') events.closed(`${event.reason} ${event.detail}`);
      else if (event.type === 'connected')
        events.open({
          send: (frame) => client.send(CHANNEL_ID, frame),
          close: () => void client.close(),
        });
      else if (event.type === 'message' && typeof event.data === 'string') events.frame(event.data);
    },
  });
}

function openWs(url: string, events: LineEvents): void {
  const socket = new WebSocket(url, { rejectUnauthorized: false, perMessageDeflate: false });
  const line: Line = {
    send: (frame) => {
      socket.send(frame);
      return true;
    },
    close: () => socket.close(),
  };
  socket.on('open', () => events.open(line));
  socket.on('message', (data: Buffer) => events.frame(data.toString()));
  socket.on('error', (error) => events.closed(error.message));
}

/** Connects one session and joins its room; answers how long that took. */
async function connectOne(index: number, inOneRoom: boolean): Promise<number> {
  const startedAt = performance.now();
  return new Promise((resolve, reject) => {
    const room = id('room', inOneRoom ? 0 : index >> 1);
    let line: Line | null = null;
    const events: LineEvents = {
      open(opened) {
        line = opened;
        opened.send(JSON.stringify({ action: 'join', room, peer: id('peer', index) }));
      },
      frame(frame) {
        if (frame.startsWith('{"action":"signal"')) members[index]?.onSignal();
        else if (frame.startsWith('{"action":"joined"') && line !== null) {
          members[index] = { line, room, other: id('peer', index ^ 1), onSignal: () => undefined };
          resolve(performance.now() - startedAt);
        }
      },
      closed: (reason) => reject(new Error(`session ${index}: ${reason}`)),
    };
    if (target.type === 'ws') openWs(target.url, events);
    else openWebRtc(target.record, events).catch(reject);
  });
}

async function connect({
  sessions,
  concurrency,
  inOneRoom = false,
}: Extract<Command, { type: 'connect' }>): Promise<object> {
  const durations: number[] = [];
  let failed = 0;
  let next = members.length;
  const end = next + sessions;
  const worker = async (): Promise<void> => {
    while (next < end) {
      const index = next++;
      await connectOne(index, inOneRoom).then(
        (ms) => durations.push(ms),
        () => (failed += 1),
      );
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  durations.sort((a, b) => a - b);
  const at = (q: number): number =>
    durations[Math.min(durations.length - 1, Math.floor(q * durations.length))] ?? Number.NaN;
  return { connected: durations.length, failed, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
}

async function signal(command: Extract<Command, { type: 'signal' }>): Promise<object> {
  const data = 'x'.repeat(command.bytes);
  let sent = 0;
  let received = 0;
  let isOver = false;
  const send = (member: Member): void => {
    if (
      member.line.send(
        JSON.stringify({ action: 'signal', room: member.room, to: member.other, data }),
      )
    )
      sent += 1;
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
  if (command.outstanding !== undefined)
    for (const member of senders) for (let i = 0; i < command.outstanding; i++) send(member);
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
    const before = process.cpuUsage();
    const startedAt = performance.now();
    const tell = (result: object): void => {
      const { user, system } = process.cpuUsage(before);
      // Near one, it is this process that decides how fast things go.
      const generatorLoad = (user + system) / 1000 / (performance.now() - startedAt);
      process.send?.({ ...result, generatorLoad });
    };
    if (command.type === 'connect') tell(await connect(command));
    else if (command.type === 'signal') tell(await signal(command));
    else {
      for (const { line } of members) line.close();
      setTimeout(() => process.exit(0), 200);
    }
  })();
});
process.send?.('ready');
