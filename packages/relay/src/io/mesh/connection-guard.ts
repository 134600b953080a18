import type {
  ConnectionEncrypter,
  ConnectionProtector,
  MessageStream,
  MultiaddrConnection,
  SecuredConnection,
  Stream,
  StreamMuxer,
  StreamMuxerFactory,
} from '@libp2p/interface';
import { utf8Encode } from '@lumamesh/base';
import { monotonicNow } from '@lumamesh/transport/io';
import { Negotiation, WireBudget, type WireFault } from '../../core/mesh/wire-budget.ts';
import { YamuxHeaders } from '../../core/mesh/yamux-headers.ts';
import { pauseFor } from './mesh-stream.ts';
import { nodeKeyOf } from './node-key.ts';

/** What arrives anywhere in libp2p goes through such a method, whoever listens. */
interface Receiver {
  onData(data: Bytes): void;
}

/** A Uint8ArrayList is several Uint8Arrays. */
type Bytes = Uint8Array | { readonly byteLength: number; subarray(): Uint8Array };

/** The one way that relays begin: multistream-select, and Noise (length, text, newline). */
const GREETING = utf8Encode('\x13/multistream/1.0.0\n\x07/noise\n');
const GOSSIP_PAUSE_MS = 50;

/** One connection: its budget, and what is known of it. */
export interface GuardedConnection {
  readonly budget: WireBudget;
  readonly connection: MultiaddrConnection;
  /** Once it has proven its key. */
  nk: string | null;
}

/**
 * Wraps the layers of libp2p (private network, Noise, yamux) so that every connection has a {@link
 * WireBudget} from its first byte on. libp2p itself answers as much as it is asked.
 */
export class ConnectionGuard {
  readonly #framesProtocol: string;
  readonly #onFault: (guarded: GuardedConnection, fault: WireFault) => void;
  readonly #byLayer = new WeakMap<MessageStream, GuardedConnection>();
  readonly #byKey = new Map<string, Set<GuardedConnection>>();

  /**
   * @param framesProtocol of the streams that have budgets of their own
   * @param onFault a connection went beyond its budget, and is given up
   */
  constructor(
    framesProtocol: string,
    onFault: (guarded: GuardedConnection, fault: WireFault) => void,
  ) {
    this.#framesProtocol = framesProtocol;
    this.#onFault = onFault;
  }

  /** A relay has shown a record that answers. @returns Its connections. */
  prove(nk: string): readonly MultiaddrConnection[] {
    const all = [...(this.#byKey.get(nk) ?? [])];
    for (const { budget } of all) budget.isProven = true;
    return all.map(({ connection }) => connection);
  }

  protector(inner: ConnectionProtector): ConnectionProtector {
    return {
      protect: async (unprotected, options) => {
        // What libp2p protects is what a transport made.
        const connection = unprotected as MultiaddrConnection;
        const guarded: GuardedConnection = { budget: new WireBudget(), connection, nk: null };
        onArrival(connection, (data) => {
          if (guarded.nk !== null) return true;
          return this.#allow(guarded, guarded.budget.takeHandshake(data.byteLength));
        });
        const layer = await inner.protect(connection, options);
        this.#byLayer.set(layer, guarded);
        if (connection.direction === 'inbound') this.#expectGreeting(layer, guarded);
        return layer;
      },
    };
  }

  encrypter(inner: ConnectionEncrypter): ConnectionEncrypter {
    const secured = <Extension>(
      layer: MessageStream,
      result: SecuredConnection<Extension>,
    ): SecuredConnection<Extension> => {
      const guarded = this.#byLayer.get(layer);
      // Relays agree on yamux within the handshake; there is nothing else to negotiate.
      if (guarded === undefined || result.streamMuxer === undefined)
        throw new Error('the other side is no relay of ours');
      guarded.nk = nodeKeyOf(result.remotePeer) ?? '';
      this.#byLayer.set(result.connection, guarded);
      this.#remember(guarded.nk, guarded);
      return result;
    };
    return {
      protocol: inner.protocol,
      secureInbound: async (layer, options) =>
        secured(layer, await inner.secureInbound(layer, options)),
      secureOutbound: async (layer, options) =>
        secured(layer, await inner.secureOutbound(layer, options)),
    };
  }

  muxerFactory(inner: StreamMuxerFactory): StreamMuxerFactory {
    return {
      protocol: inner.protocol,
      createStreamMuxer: (layer) => {
        const muxer = inner.createStreamMuxer(layer);
        const guarded = this.#byLayer.get(layer);
        if (guarded === undefined) throw new Error('this connection was not secured');
        this.#watchFrames(muxer, guarded);
        this.#watchStreams(muxer, guarded);
        return muxer;
      },
    };
  }

  #expectGreeting(layer: MessageStream, guarded: GuardedConnection): void {
    let read = 0;
    const isGreeting = (data: Uint8Array): boolean => {
      const begin = data.subarray(0, GREETING.length - read);
      const isExpected = begin.every((byte, i) => byte === GREETING[read + i]);
      read += begin.length;
      return isExpected;
    };
    // Some may have come with the greeting of the private network.
    const { readBuffer } = layer as MessageStream & { readonly readBuffer: Bytes };
    this.#allow(guarded, isGreeting(bytesOf(readBuffer)) ? null : 'negotiationTooLong');
    onArrival(layer, (data) => {
      if (read >= GREETING.length) return true;
      return this.#allow(guarded, isGreeting(bytesOf(data)) ? null : 'negotiationTooLong');
    });
  }

  #watchFrames(muxer: StreamMuxer, guarded: GuardedConnection): void {
    const headers = new YamuxHeaders();
    onArrival(muxer, (data) => {
      const now = monotonicNow();
      let fault = guarded.budget.takeBytes(now, data.byteLength);
      for (const header of headers.push(bytesOf(data)))
        fault ??= guarded.budget.takeFrame(now, header);
      return this.#allow(guarded, fault);
    });
  }

  #watchStreams(muxer: StreamMuxer, guarded: GuardedConnection): void {
    // Of libp2p's own base class of multiplexers: called for each stream that the other side opens,
    // before anything of it is read.
    const receiver = muxer as StreamMuxer & { onRemoteStream(stream: Stream): void };
    const open = receiver.onRemoteStream.bind(receiver);
    receiver.onRemoteStream = (stream) => {
      const negotiation = new Negotiation();
      onArrival(stream, (data) => {
        if (stream.protocol === '') return this.#allow(guarded, negotiation.take(bytesOf(data)));
        if (stream.protocol !== this.#framesProtocol) this.#slowDown(stream, guarded, data);
        return true;
      });
      open(stream);
    };
  }

  #slowDown(stream: Stream, { budget }: GuardedConnection, { byteLength }: Bytes): void {
    if (budget.takeGossip(monotonicNow(), byteLength) || stream.readStatus !== 'readable') return;
    pauseFor(stream, GOSSIP_PAUSE_MS);
  }

  #remember(nk: string, guarded: GuardedConnection): void {
    const all = this.#byKey.get(nk) ?? new Set();
    this.#byKey.set(nk, all.add(guarded));
    guarded.connection.addEventListener('close', () => {
      if (all.delete(guarded) && all.size === 0 && this.#byKey.get(nk) === all)
        this.#byKey.delete(nk);
    });
  }

  #allow(guarded: GuardedConnection, fault: WireFault | null): boolean {
    if (fault === null) return true;
    if (guarded.connection.status === 'open') {
      this.#onFault(guarded, fault);
      guarded.connection.abort(new Error(fault));
    }
    return false;
  }
}

/** Looks at what arrives before anybody reads it; what is not let through is gone. */
function onArrival(target: object, isLetThrough: (data: Bytes) => boolean): void {
  // Connections, multiplexers and streams of libp2p all have it, though their interfaces do not say
  // so; a version without it must not go unnoticed.
  const receiver = target as Receiver;
  if (typeof receiver.onData !== 'function') throw new Error('libp2p has no onData any more');
  const receive = receiver.onData.bind(receiver);
  receiver.onData = (data) => {
    if (isLetThrough(data)) receive(data);
  };
}

function bytesOf(data: Bytes): Uint8Array {
  return data instanceof Uint8Array ? data : data.subarray();
}
