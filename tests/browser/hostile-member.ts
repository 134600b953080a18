import assert from 'node:assert/strict';
import {
  CHANNEL_ID,
  type RelayMessage,
  type RoomSecret,
  type SignedRelayRecord,
  type WebCrypto,
  deriveRoomSecret,
  joinProofText,
  parseRelayMessage,
} from '@lumamesh/protocol';
import { connectToRelay, until } from '@lumamesh/testkit';
import type { UdpClient } from '@lumamesh/transport/io';
import * as webrtc from 'node-datachannel/polyfill';
import {
  type PeerIdentity,
  createPeerIdentity,
} from '../../packages/client/src/room/peer-identity.ts';
import { fieldsOf, parsePeerSignal } from '../../packages/client/src/peer/signal.ts';
import { Sealer } from '../../packages/client/src/room/sealing.ts';

/** The lanes that pages have between them, and the unordered channel (docs/wire-protocol.md, section 5). */
export const LANES = [0, 1, 2, 3];
export const UNORDERED = 4;
const VALUES = 2;
/** Connections that the page ends before they are open, one after another. */
const MAX_DIALS = 5;
const MAX_QUEUED_BYTES = 500_000;
/** Of a large value, as pages send them. */
const CHUNK_BYTES = 16_384;
const webCrypto = crypto as unknown as WebCrypto;

/**
 * A member of a room that knows the protocol and keeps to none of it: what it seals is authentic, and
 * what it says is what a test gives it.
 */
export class HostileMember {
  readonly identity: PeerIdentity;
  /** The stays of members, by their ids. */
  readonly known = new Map<string, number>();
  /** Sealed signals that it has sent, to be sent again. */
  readonly sent: { readonly to: string; readonly data: string }[] = [];
  readonly #record: SignedRelayRecord;
  readonly #secret: RoomSecret;
  readonly #sealer: Sealer;
  #relay: UdpClient | null = null;
  #connection: webrtc.RTCPeerConnection | null = null;
  #channels: webrtc.RTCDataChannel[] = [];
  #attempt = '';
  #attempts = 0;
  #sessions = 0;
  /** What the relay says is handled in its order: candidates come behind the answer they belong to. */
  #queue: Promise<void> = Promise.resolve();
  /** The texts that came by each channel of the connection. */
  #heard: string[][] = [];
  /** Its own description of the connection. */
  sdp = '';
  hasEnded = false;

  private constructor(record: SignedRelayRecord, secret: RoomSecret, identity: PeerIdentity) {
    this.#record = record;
    this.#secret = secret;
    this.identity = identity;
    this.#sealer = new Sealer(webCrypto, secret, identity);
  }

  /**
   * Joins a room.
   * @param page the page that it is after: it takes an id that is larger, so that the page is the
   * polite one, and gives way where both offer at once
   */
  static async join(
    record: SignedRelayRecord,
    roomName: string,
    nick: string,
    page: string,
  ): Promise<HostileMember> {
    let identity = await createPeerIdentity(webCrypto.subtle);
    while (identity.id < page) identity = await createPeerIdentity(webCrypto.subtle);
    // Counters begin where those of pages do that have been there before.
    const secret = await deriveRoomSecret(webCrypto.subtle, roomName, '');
    const member = new HostileMember(record, secret, { ...identity, counter: Date.now() });
    member.#relay = await connectToRelay(record, (event) => {
      const frame = event.type === 'message' ? parseRelayMessage(String(event.data)) : null;
      if (frame?.ok === true)
        member.#queue = member.#queue.then(() => member.#handle(frame.value, { nick }));
    });
    await until(() => member.known.has(page), 'the hostile member does not find the page');
    return member;
  }

  async say(frame: object): Promise<void> {
    await Promise.resolve();
    this.#relay?.send(CHANNEL_ID, JSON.stringify(frame));
  }

  /** Says of itself what a test gives it. */
  async present(presence: unknown): Promise<void> {
    const { stay } = this.#sealer;
    const payload =
      typeof presence === 'object' && presence !== null ? { stay, ...presence } : presence;
    await this.presentSealed(await this.#sealer.seal('presence', '*', payload));
  }

  /** Puts a text in the place of its presence. */
  async presentSealed(presence: string): Promise<void> {
    const { roomId: room } = this.#secret;
    await this.say({ action: 'join', room, peer: this.identity.id, presence });
  }

  /** Seals whatever it is given for a member, and sends it by the relay. */
  async signal(to: string, payload: unknown): Promise<void> {
    const data = await this.#sealer.seal('signal', to, payload, this.known.get(to) ?? 0);
    this.sent.push({ to, data });
    await this.send(to, data);
  }

  async send(to: string, data: string): Promise<void> {
    await this.say({ action: 'signal', room: this.#secret.roomId, to, data });
  }

  /**
   * A connection as pages make them, in the place of the one before, but for what is said on it:
   * nothing, not even who this is.
   * @param isOver whether nobody waits for it any more
   */
  async connect(to: string, isOver: () => boolean | Promise<boolean> = () => false): Promise<void> {
    // A busy page may end it before it is open, for one of its own: then it is begun anew, as pages do.
    for (let tried = 1; !(await this.#dial(to, isOver)); tried++)
      assert.ok(tried < MAX_DIALS, 'the page ends each connection before it is open');
  }

  /** @returns whether the connection is open, or nobody waits for it any more */
  async #dial(to: string, isOver: () => boolean | Promise<boolean>): Promise<boolean> {
    this.disconnect();
    this.#attempt = `hostile${(this.#attempts += 1)}`;
    this.hasEnded = false;
    this.#heard = [];
    const connection = new webrtc.RTCPeerConnection({});
    this.#connection = connection;
    this.#channels = [...LANES, UNORDERED].map((id) => {
      const channel = connection.createDataChannel(`lane ${id}`, {
        negotiated: true,
        id,
        ...(id === UNORDERED ? { ordered: false, maxRetransmits: 0 } : {}),
      });
      const heard: string[] = [];
      this.#heard.push(heard);
      channel.addEventListener('message', (event) => {
        const { data } = event as unknown as { readonly data: unknown };
        if (typeof data === 'string') heard.push(data);
      });
      channel.addEventListener('close', () => {
        if (connection === this.#connection) this.hasEnded = true;
      });
      return channel;
    });
    const offer = await connection.createOffer();
    await connection.setLocalDescription(offer);
    await until(() => connection.iceGatheringState === 'complete', 'no candidates are gathered');
    this.sdp = connection.localDescription?.sdp ?? '';
    await this.signal(to, { stay: this.#sealer.stay, ...this.offer(this.sdp) });
    const isOpen = (): boolean => this.#channels.every(({ readyState }) => readyState === 'open');
    const hasFailed = (): boolean => /closed|failed/.test(connection.connectionState);
    await until(
      async () => isOpen() || hasFailed() || (await isOver()),
      () => `no connection: ${connection.connectionState}`,
    );
    return !hasFailed() || isOver();
  }

  /** A signal of the connection that is there. */
  offer(sdp: string): object {
    return { attempt: this.#attempt, description: { type: 'offer', sdp } };
  }

  /** Says who it is, as a page does. */
  introduce(to: string): void {
    for (const lane of LANES) this.write(lane, `i${this.identity.id} ${to} ${this.#secret.roomId}`);
  }

  /** Says that, and begins: what it writes now is heard. */
  async bind(to: string): Promise<void> {
    this.introduce(to);
    for (const lane of LANES) await this.hears(lane, (text) => text.startsWith('r'));
    await this.begin();
  }

  /** As a page that was loaded anew: nothing holds of what it has said before, on any lane. */
  async begin(): Promise<void> {
    this.#sessions += 1;
    for (const lane of LANES) await this.align(lane);
  }

  /** Asks how much of a lane the page has read, and goes on from there. */
  async align(lane: number): Promise<void> {
    const session = `hostile${this.#sessions}`;
    const before = this.#heard[lane]?.length ?? 0;
    this.write(lane, `r${session}`);
    const answer = await this.hears(lane, (text) => text.startsWith(`w${session} `), before);
    this.write(lane, `n${answer.split(' ')[1]}`);
  }

  /** Waits for a text that the page sends by a lane. */
  async hears(lane: number, isIt: (text: string) => boolean, from = 0): Promise<string> {
    const find = (): string | undefined => this.#heard[lane]?.slice(from).find(isIt);
    await until(() => find() !== undefined, `the page is not heard on lane ${lane}`);
    return find() ?? '';
  }

  /** Says something that a page which still listens notes. */
  async mark(text: string): Promise<void> {
    await this.align(VALUES);
    this.write(VALUES, `jaction say\n${JSON.stringify(text)}`);
  }

  /** Sends a value of any size. @param head kind and tag */
  async pour(lane: number, head: string, body: Uint8Array<ArrayBuffer>): Promise<void> {
    this.write(lane, `f${head}\n${body.length}`);
    for (let at = 0; at < body.length; at += CHUNK_BYTES) {
      this.write(lane, body.slice(at, at + CHUNK_BYTES));
      await this.drains(lane);
    }
  }

  async drains(lane: number): Promise<void> {
    await until(
      () => this.hasEnded || this.queuedBytes(lane) < MAX_QUEUED_BYTES,
      'nothing is taken any more',
    );
  }

  /** Sends a frame as it is; what a channel that is closed does not take is lost. */
  write(lane: number, frame: string | Uint8Array<ArrayBuffer>): void {
    const channel = this.#channels[lane];
    if (channel?.readyState !== 'open') return;
    try {
      if (typeof frame === 'string') channel.send(frame);
      else channel.send(frame);
    } catch {
      // Its queue is full.
    }
  }

  queuedBytes(lane: number): number {
    return this.#channels[lane]?.bufferedAmount ?? 0;
  }

  /** The connection goes, the member stays. */
  disconnect(): void {
    this.#connection?.close();
    this.#connection = null;
    this.#channels = [];
  }

  async leave(): Promise<void> {
    this.disconnect();
    await this.#relay?.close();
  }

  async #handle(message: RelayMessage, presence: object): Promise<void> {
    const { roomId: room } = this.#secret;
    switch (message.action) {
      case 'welcome': {
        const peer = this.identity.id;
        const text = joinProofText(this.#record.nk, message.challenge ?? '', room, peer);
        await this.say({
          action: 'join',
          room,
          peer,
          presence: await this.#sealer.seal('presence', '*', presence),
          proof: await this.#sealer.prove(text),
        });
        return;
      }
      case 'joined':
        for (const member of message.members) await this.#meet(member.peer, member.presence);
        return;
      case 'peer-joined':
        return this.#meet(message.peer, message.presence);
      case 'signal': {
        const opened = await this.#sealer.open('signal', message.from, message.data);
        if (!opened.ok) return;
        const signal = parsePeerSignal(opened.value.value);
        // What the page offers itself, or says of a connection of before, is passed over.
        if (signal?.to !== this.#attempt) return;
        const { description, candidates = [] } = signal;
        if (description?.type === 'answer')
          await this.#connection?.setRemoteDescription(description).catch(() => undefined);
        for (const candidate of candidates)
          await this.#connection?.addIceCandidate(candidate).catch(() => undefined);
        return;
      }
      default:
    }
  }

  async #meet(id: string, sealed: string): Promise<void> {
    const opened = await this.#sealer.open('presence', id, sealed);
    if (!opened.ok) return;
    const { stay } = fieldsOf(opened.value.value);
    this.known.set(id, typeof stay === 'number' ? stay : opened.value.counter);
  }
}
