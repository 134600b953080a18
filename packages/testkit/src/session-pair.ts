import type { Instant } from '@lumamesh/base';
import {
  type ClientSessionOptions,
  DEFAULT_SESSION_LIMITS,
  Endpoint,
  type EndpointOptions,
  type Remote,
  Session,
  type SessionEvent,
  type SessionId,
} from '@lumamesh/transport';
import { serverCertificate, serverFingerprint, testCrypto } from './test-crypto.ts';
import { type Host, type LinkOptions, VirtualNetwork } from './virtual-network.ts';

export const TEST_ICE = { ufrag: 'luma', password: '0123456789abcdef0123456789abcdef' };
export const TEST_CHANNEL = {
  id: 0,
  properties: { label: 'lumamesh', subprotocol: '', isUnordered: false },
};
const CLIENT_ADDRESS: Remote = { address: '192.0.2.77', port: 40_000 };

export function endpointOptions(overrides: Partial<EndpointOptions> = {}): EndpointOptions {
  return {
    crypto: testCrypto(1),
    ice: TEST_ICE,
    certificate: serverCertificate,
    requestClientCertificate: false,
    negotiatedChannels: [TEST_CHANNEL],
    limits: { maxSessions: 100, cookieThreshold: 50, maxHalfOpen: 100 },
    sessionLimits: DEFAULT_SESSION_LIMITS,
    ...overrides,
  };
}

export function clientOptions(overrides: Partial<ClientSessionOptions> = {}): ClientSessionOptions {
  return {
    crypto: testCrypto(2),
    limits: DEFAULT_SESSION_LIMITS,
    negotiatedChannels: [TEST_CHANNEL],
    localUfrag: 'test',
    remoteIce: TEST_ICE,
    remoteFingerprint: serverFingerprint,
    certificate: null,
    ...overrides,
  };
}

/** An {@link Endpoint} as a host of the virtual network; it keeps its events. */
export class EndpointHost implements Host {
  readonly endpoint: Endpoint;
  readonly events: {
    readonly sessionId: SessionId;
    readonly event: SessionEvent;
    readonly at: Instant;
  }[] = [];
  onEvent: (sessionId: SessionId, event: SessionEvent) => void = () => undefined;
  remote: Remote = CLIENT_ADDRESS;

  constructor(now: Instant, options: EndpointOptions) {
    this.endpoint = new Endpoint(now, options);
  }

  handleDatagram(now: Instant, data: Uint8Array): void {
    this.endpoint.handleDatagram(now, this.remote, data);
  }

  handleTimeout(now: Instant): void {
    this.endpoint.handleTimeout(now);
  }

  drain(now: Instant, send: (data: Uint8Array) => void): Instant | null {
    for (let output = this.endpoint.poll(); output !== null; output = this.endpoint.poll()) {
      if (output.type === 'transmit') send(output.data);
      else {
        this.events.push({ sessionId: output.sessionId, event: output.event, at: now });
        this.onEvent(output.sessionId, output.event);
      }
    }
    return this.endpoint.deadline;
  }

  messages(): (string | Uint8Array)[] {
    return this.events.flatMap(({ event }) => (event.type === 'message' ? [event.data] : []));
  }

  has(type: SessionEvent['type']): boolean {
    return this.events.some(({ event }) => event.type === type);
  }
}

/** A client {@link Session} as a host. */
export class SessionHost implements Host {
  readonly session: Session;
  readonly events: { readonly event: SessionEvent; readonly at: Instant }[] = [];
  readonly drops: string[] = [];
  onEvent: (event: SessionEvent) => void = () => undefined;

  constructor(now: Instant, options: ClientSessionOptions) {
    this.session = Session.client(now, options, (reason) => this.drops.push(reason));
  }

  handleDatagram(now: Instant, data: Uint8Array): void {
    this.session.handleDatagram(now, data);
  }

  handleTimeout(now: Instant): void {
    this.session.handleTimeout(now);
  }

  drain(now: Instant, send: (data: Uint8Array) => void): Instant | null {
    for (let output = this.session.poll(); output !== null; output = this.session.poll()) {
      if (output.type === 'transmit') send(output.data);
      else {
        this.events.push({ event: output, at: now });
        this.onEvent(output);
      }
    }
    return this.session.deadline;
  }

  messages(): (string | Uint8Array)[] {
    return this.events.flatMap(({ event }) => (event.type === 'message' ? [event.data] : []));
  }

  has(type: SessionEvent['type']): boolean {
    return this.events.some(({ event }) => event.type === type);
  }
}

export interface SessionPair {
  readonly net: VirtualNetwork;
  readonly server: EndpointHost;
  readonly client: SessionHost;
  /** The one session of the server. Throws before it exists. */
  readonly sessionId: SessionId;
}

/** A client and an endpoint on one link, not yet run. */
export function sessionPair(
  options: {
    readonly link?: LinkOptions;
    readonly backwards?: LinkOptions;
    readonly endpoint?: Partial<EndpointOptions>;
    readonly client?: Partial<ClientSessionOptions>;
  } = {},
): SessionPair {
  const net = new VirtualNetwork();
  const server = new EndpointHost(net.now, endpointOptions(options.endpoint));
  const client = new SessionHost(net.now, clientOptions(options.client));
  net.link(
    client,
    server,
    options.link ?? { latencyMs: 20 },
    options.backwards ?? options.link ?? { latencyMs: 20 },
  );
  return {
    net,
    server,
    client,
    get sessionId() {
      const first = server.events[0];
      if (first === undefined) throw new Error('the server has no session yet');
      return first.sessionId;
    },
  };
}

/** A pair whose association is up on both sides. Throws when that does not happen within a minute of virtual time. */
export function connectedPair(options: Parameters<typeof sessionPair>[0] = {}): SessionPair {
  const pair = sessionPair(options);
  const isUp = pair.net.runUntil(
    () => pair.server.has('connected') && pair.client.has('connected'),
    60_000,
  );
  if (!isUp)
    throw new Error(
      `not connected: client ${JSON.stringify(pair.client.events.map(({ event }) => event.type))}, drops ${JSON.stringify(pair.server.endpoint.drops.snapshot())}`,
    );
  return pair;
}
