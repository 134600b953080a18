import {
  type ConnectOptions,
  type Net,
  type Peer,
  type Room,
  connect as connectForReal,
} from 'lumamesh';

/* What examples import as `lumamesh`: the library, and an eye on what they do with it. */
export * from 'lumamesh';

const nets: Net[] = [];
const rooms = new Set<Room>();
const met = new Set<Peer>();
const faults: string[] = [];
const lines: string[] = [];

export function connect(options: ConnectOptions = {}): Net {
  const net = connectForReal(options);
  const joinForReal = net.joinRoom.bind(net);
  nets.push(net);
  net.on('error', (error) => faults.push(`net: ${error.code} ${error.message}`));
  net.joinRoom = (name, roomOptions) => {
    const room = joinForReal(name, roomOptions);
    if (!rooms.has(room)) watch(room);
    return room;
  };
  return net;
}

function watch(room: Room): void {
  rooms.add(room);
  room.on('error', (error) => faults.push(`room: ${error.code} ${error.message}`));
  room.on('peer', (peer) => peer.on('open', () => met.add(peer)));
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));
}

addEventListener('error', ({ message }) => faults.push(message));
addEventListener('unhandledrejection', ({ reason }) => faults.push(`unhandled: ${String(reason)}`));
const { log } = console;
Object.assign(console, {
  log: (...values: readonly unknown[]) => {
    lines.push(values.map(textOf).join(' '));
    log(...values);
  },
});

Object.assign(globalThis, {
  /** For the expectations of examples. */
  logged: (text: string) => lines.some((line) => line.includes(text)),
  shown: (text: string) => document.body.textContent.includes(text),
  example: {
    hasMet: () => met.size > 0,
    faults: () => faults,
    /** What there is to see, for whoever has to find out what went wrong. */
    report: () => ({
      lines,
      body: document.body.textContent,
      status: nets.map(({ status }) => status.text),
      faults,
    }),
    close: () => {
      for (const net of nets) void net.close();
    },
  },
});
