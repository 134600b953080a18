import * as lumamesh from 'lumamesh';
import * as core from 'lumamesh/core';
import { openRelayList } from 'lumamesh/relay-list';

/* The page of errors.test.ts: each scenario does what it takes, and answers the code that it saw. */

type Run = (world: { readonly record: unknown; readonly line: string }) => unknown;
type Untyped = ReturnType<typeof lumamesh.connect>;

const { connect } = lumamesh;
const untyped = connect as unknown as (options: object) => Untyped;
const codeOf = (error: unknown): string =>
  error instanceof lumamesh.LumameshError ? error.code : String(error);

/** The code of what a call throws or rejects with. */
async function thrown(run: () => unknown): Promise<string> {
  try {
    await run();
    return 'nothing';
  } catch (error) {
    return codeOf(error);
  }
}

interface Pair {
  readonly nets: readonly [Untyped, Untyped];
  readonly rooms: readonly [lumamesh.Room, lumamesh.Room];
  /** How the first sees the second. */
  readonly peer: Promise<lumamesh.Peer>;
  readonly open: Promise<lumamesh.Peer>;
}

/** Two visitors in one page. */
function pair(record: unknown, options: readonly [object, object] = [{}, {}]): Pair {
  const make = (i: 0 | 1) => {
    const net = untyped({ relays: [record], storage: null, discover: false });
    return [net, net.joinRoom('tea', { nick: `n${i}`, ...options[i] })] as const;
  };
  const [[netA, a], [netB, b]] = [make(0), make(1)];
  const peer = new Promise<lumamesh.Peer>((resolve) => void a.on('peer', resolve));
  const open = peer.then(
    (found) => new Promise<lumamesh.Peer>((resolve) => void found.on('open', () => resolve(found))),
  );
  return { nets: [netA, netB], rooms: [a, b], peer, open };
}

/** What becomes of a list that is good for so long, by the key that signed it or by this one. */
async function openedList(seconds: number, key?: string): Promise<string> {
  const base64Url = (bytes: ArrayBuffer): string =>
    btoa(String.fromCharCode(...new Uint8Array(bytes)))
      .replaceAll('+', '-')
      .replaceAll('/', '_')
      .replace(/=+$/, '');
  const pair = await crypto.subtle.generateKey('Ed25519', true, ['sign']);
  const expires = Math.floor(Date.now() / 1000) + seconds;
  const text = `# lumamesh relay list 1, made ${expires - 9999}, expires ${expires}\nluma1.AAAA\n`;
  const data = new TextEncoder().encode(text);
  const signature = base64Url(await crypto.subtle.sign('Ed25519', pair.privateKey, data));
  const own = base64Url(await crypto.subtle.exportKey('raw', pair.publicKey));
  return openRelayList(`${text}# signature ${signature}\n`, key ?? own).then(
    () => 'nothing',
    // Each published file but two has a class of errors of its own.
    (error: unknown) => (error as { code: string }).code,
  );
}

const errorOf = (target: { on(event: 'error', listener: (error: Error) => void): unknown }) =>
  new Promise<string>((resolve) => void target.on('error', (error) => resolve(codeOf(error))));

/** The error of the first relay, once it is one of these. */
const relayError = (net: Untyped, code: string) =>
  new Promise<string>((resolve) => {
    const timer = setInterval(() => {
      const seen = net.status.relays[0]?.error?.code ?? '';
      if (seen !== code) return;
      clearInterval(timer);
      resolve(seen);
    }, 50);
  });

const dead = (...ips: readonly string[]) =>
  ips.map((ip, i) => ({
    fingerprint: `AA${':AA'.repeat(31)}`,
    ip,
    port: 3478,
    ufrag: 'luma',
    pwd: 'x'.repeat(22),
    nk: `${'A'.repeat(41)}${i}A`,
  }));
const DEAD = dead('192.0.2.7');
/** Begin so, and end with `a` and `b` (errors.test.ts). */
const TOKEN = 'token-of-visitor';
const netError = (relays: unknown): Promise<string> =>
  errorOf(untyped({ relays, storage: null, discover: false }));

/** Peers are not reached: each hears no address of the other. */
function hideAddresses(): void {
  globalThis.RTCPeerConnection = class extends RTCPeerConnection {
    override async addIceCandidate(): Promise<void> {
      await Promise.resolve();
    }

    override async setRemoteDescription(description: RTCSessionDescriptionInit): Promise<void> {
      const { type, sdp = '' } = description;
      const isRelay = sdp.includes('a=ice-lite');
      const hidden = isRelay ? sdp : sdp.replaceAll(/a=candidate.*\r\n/g, '');
      return super.setRemoteDescription({ type, sdp: hidden });
    }
  };
}

const scenarios: Readonly<Record<string, Run>> = {
  WEBRTC_MISSING: () => {
    (globalThis as { RTCPeerConnection?: unknown }).RTCPeerConnection = undefined;
    return netError(DEAD);
  },
  WEBRTC_BLOCKED_BY_POLICY: ({ record }) => netError([record]),
  UDP_BLOCKED: () => netError(dead('203.0.113.5', '198.51.100.5')),
  OFFLINE: () => {
    Object.defineProperty(navigator, 'onLine', { value: false });
    return netError(DEAD);
  },
  LOCAL_NETWORK_DENIED: () => netError(dead('10.255.255.1')),
  RELAY_FORGED: ({ record }) => netError([{ ...(record as object), port: 4000 }]),
  RELAY_HANDSHAKE_FAILED: ({ record }) => netError([record]),
  RELAYS_UNREACHABLE: () => netError(DEAD),
  RELAY_LIST_FORGED: async () => openedList(3600, 'A'.repeat(43)),
  RELAY_LIST_EXPIRED: async () => openedList(-1),
  RELAY_LIST_FAILED: () => netError('/no-such-list.txt'),
  RELAY_UNREACHABLE: () => relayError(untyped({ relays: DEAD }), 'RELAY_UNREACHABLE'),
  RELAY_LOST: ({ record }) => relayError(untyped({ relays: [record] }), 'RELAY_LOST'),
  RELAY_CLOSING: ({ record }) => relayError(untyped({ relays: [record] }), 'RELAY_CLOSING'),
  RELAY_FULL: ({ record }) => {
    const { nets } = pair(record);
    return Promise.race(nets.map((net) => relayError(net, 'RELAY_FULL')));
  },
  RELAY_PRIVATE: ({ record }) => netError([record]),
  ACCESS_DENIED: async ({ record }) => {
    // Who has a token comes in, and meets others; another one is refused.
    const nets = ['a', 'b'].map((end) => untyped({ relays: [record], token: `${TOKEN}-${end}` }));
    const [room] = nets.map((net) => net.joinRoom('tea'));
    await new Promise<void>((resolve) => {
      room?.on('peer', (peer) => peer.on('open', () => resolve()));
    });
    return errorOf(untyped({ relays: [record], token: `${TOKEN}-c`, storage: null }));
  },
  ROOM_FULL: ({ record }) => {
    const rooms = [...pair(record).rooms, ...pair(record).rooms];
    return Promise.race(rooms.map(errorOf));
  },
  TOO_MANY_ROOMS: ({ record }) => {
    const net = untyped({ relays: [record] });
    return Promise.race(Array.from({ length: 49 }, (_, i) => errorOf(net.joinRoom(`r${i}`))));
  },
  ROOM_KEY_MISMATCH: ({ record }) =>
    Promise.race(pair(record, [{ password: 'a' }, { password: 'b' }]).rooms.map(errorOf)),
  NEEDS_TURN: ({ record }) => {
    hideAddresses();
    return Promise.race(pair(record).rooms.map(errorOf));
  },
  PEER_FAILED: ({ record }) => {
    const Made = RTCPeerConnection;
    globalThis.RTCPeerConnection = class extends Made {
      constructor(configuration?: RTCConfiguration) {
        super(configuration);
        if (configuration !== undefined) throw new Error('no more connections');
      }
    };
    return Promise.race(pair(record).rooms.map(errorOf));
  },
  REQUEST_TIMEOUT: async ({ record }) => {
    const { rooms, open } = pair(record);
    rooms[1].answer('never', () => new Promise(() => undefined));
    return thrown(async () => (await open).request('never', null, { timeoutMs: 300 }));
  },
  REQUEST_FAILED: async ({ record }) => {
    const { rooms, open } = pair(record);
    rooms[1].answer('throws', () => {
      throw new Error('mine');
    });
    return thrown(async () => (await open).request('throws'));
  },
  REQUEST_CANCELLED: async ({ record }) => {
    const { rooms, open } = pair(record);
    rooms[1].answer('never', () => new Promise(() => undefined));
    const signal = AbortSignal.timeout(300);
    return thrown(async () => (await open).request('never', null, { signal }));
  },
  NO_HANDLER: async ({ record }) =>
    thrown(async () => (await pair(record).open).request('nothing')),
  FILE_CANCELLED: async ({ record }) => {
    const { rooms, open } = pair(record);
    rooms[1].on('peer', (peer) => peer.on('file', (file) => file.refuse()));
    return thrown(async () => (await open).sendFile(new File(['x'], 'x')));
  },
  FILE_FAILED: async ({ record }) => {
    const { rooms, open } = pair(record);
    const file = new Promise<lumamesh.IncomingFile>((resolve) => {
      rooms[1].on('peer', (peer) => void peer.on('file', resolve));
    });
    void thrown(async () => (await open).sendFile(new File(['x'], 'x')));
    (await file).refuse();
    return thrown(async () => (await file).accept());
  },
  BAD_RELAY: () => thrown(() => untyped({ relays: ['luma1.nonsense'] })),
  BAD_ARGUMENT: () => thrown(() => untyped({ relays: DEAD, signal: 42 })),
  BAD_IDENTITY: () => thrown(() => untyped({ relays: DEAD, identity: 42 })),
  BAD_ROOM_NAME: () => thrown(() => untyped({ relays: DEAD }).joinRoom('')),
  BAD_ACTION_NAME: () => thrown(() => untyped({ relays: DEAD }).joinRoom('x').action('')),
  BAD_FEATURE: async () => {
    const twice = { name: 'twice', net: () => ({ api: { twice: 1 } }) };
    try {
      core.connect({ relays: DEAD as never, features: [twice, twice] });
      return 'nothing';
    } catch (error) {
      // The core has a class of its own.
      return error instanceof core.LumameshError ? error.code : String(error);
    }
  },
  // The page comes by plain http from an address of the network (errors.test.ts).
  INSECURE_ORIGIN: () =>
    isSecureContext ? 'it is secure' : thrown(() => untyped({ relays: DEAD })),
  NOT_SENDABLE: async ({ record }) => {
    const peer = await pair(record).peer;
    return thrown(() => peer.send(() => undefined));
  },
  MESSAGE_TOO_LARGE: async ({ record }) => {
    const peer = await pair(record).open;
    return thrown(() => peer.send(new Uint8Array(100_000), { reliable: false }));
  },
  TOO_MUCH_PENDING: async ({ record }) => {
    const peer = await pair(record).peer;
    return thrown(() => {
      for (let i = 0; i < 30; i++) void peer.send(new Uint8Array(1_000_000));
    });
  },
  ROOM_LEFT: () =>
    thrown(async () => {
      const channel = untyped({ relays: DEAD }).channel('left at once');
      channel.leave();
      await channel.ready;
    }),
  NET_CLOSED: () =>
    thrown(() => {
      const net = untyped({ relays: DEAD });
      void net.close();
      net.joinRoom('x');
    }),
  PEER_CLOSED: async ({ record }) => {
    const peer = await pair(record).open;
    void peer.close();
    return thrown(() => peer.send('x'));
  },
  CRYPTO_FAILED: ({ record }) => {
    Object.defineProperty(crypto.subtle, 'importKey', {
      value: async () => Promise.reject(new Error('no keys today')),
    });
    return errorOf(untyped({ relays: [record] }).joinRoom('x'));
  },
};

Object.assign(globalThis, {
  harness: {
    names: () => Object.keys(scenarios),
    provoke: (code: string, world: Parameters<Run>[0]) => scenarios[code]?.(world),
  },
});
