import { createHash } from 'node:crypto';
import { type Instant, toBase64Url } from '@lumamesh/base';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import type { DialTarget, MeshOutput } from '@lumamesh/relay/core';
import { seededRandom } from './seeded-random.ts';
import { LATENCY_MS, VirtualGossip } from './virtual-gossip.ts';
import { VIRTUAL_MESH_ID, VirtualRecords } from './virtual-records.ts';
import {
  VIRTUAL_MESH_PORT,
  type VirtualNode,
  type VirtualRelay,
  type VirtualRelayOptions,
  hear,
  makeVirtualNode,
  pad,
  peersIn,
} from './virtual-relay.ts';
import { VirtualTime } from './virtual-time.ts';

export type { VirtualRelay, VirtualRelayOptions } from './virtual-relay.ts';

const SILENCE_MS = 1500;
const START_SECONDS = 1_800_000_000;

/**
 * Many relays in one process and in virtual time: the real cores ({@link makeVirtualNode}), on
 * links, gossip and checks that take 20 ms each way. Relays can be killed, cut off from each other,
 * and given wrong clocks; every run of a seed is the same.
 */
export class VirtualMesh {
  readonly #random: () => number;
  readonly #nodes = new Map<string, VirtualNode>();
  readonly #byAddress = new Map<string, VirtualNode[]>();
  readonly #time = new VirtualTime();
  readonly #records = new VirtualRecords();
  readonly #gossip: VirtualGossip;
  #groupOf: (relay: VirtualRelay) => unknown = () => 0;

  constructor(seed = 1) {
    this.#random = seededRandom(seed);
    this.#gossip = new VirtualGossip(this.#time, this.#random, (node) => this.#drain(node));
  }

  get now(): Instant {
    return this.#time.now;
  }

  get relays(): readonly VirtualRelay[] {
    return [...this.#nodes.values()];
  }

  get alive(): readonly VirtualRelay[] {
    return this.relays.filter(({ isAlive }) => isAlive);
  }

  relay(name: string): VirtualRelay {
    return this.#node(name);
  }

  add(
    name: string,
    options: VirtualRelayOptions = {},
    saved: readonly SignedRelayRecord[] = [],
  ): VirtualRelay {
    const i = this.#nodes.size;
    const nk = options.nk ?? toBase64Url(createHash('sha256').update(`node ${name}`).digest());
    const ip = options.ip ?? `20.${i >> 8}.${i & 255}.1`;
    const record = this.sign(
      {
        nk,
        ip,
        ...(options.isHidden === true ? {} : { meshPort: VIRTUAL_MESH_PORT }),
        mesh: options.mesh ?? VIRTUAL_MESH_ID,
        ...(options.access === undefined ? {} : { access: options.access }),
      },
      options.skewSeconds,
    );
    const node = makeVirtualNode({
      name,
      now: this.now,
      unixSeconds: this.#unixSeconds(options),
      record,
      options,
      peers: (options.peers ?? []).map((peer) => ({
        host: this.#node(peer).record.ip,
        port: VIRTUAL_MESH_PORT,
      })),
      records: this.#records,
      random: seededRandom(Math.floor(this.#random() * 2 ** 32)),
    });
    this.#nodes.set(name, node);
    this.#byAddress.set(ip, [...(this.#byAddress.get(ip) ?? []), node]);
    node.core.handleSaved(this.now, saved);
    this.#wake(node);
    return node;
  }

  /** A record whose signature every relay here takes for good. */
  sign(
    fields: Partial<SignedRelayRecord> & { readonly nk: string; readonly ip: string },
    skewSeconds = 0,
  ): SignedRelayRecord {
    return this.#records.sign(this.#unixSeconds({ skewSeconds }), fields);
  }

  /** Runs for so many milliseconds of virtual time. */
  run(ms: number): void {
    this.runUntil(() => false, ms);
  }

  /**
   * Runs until `isDone`, looked at every 50 ms of virtual time.
   * @returns Whether it came to that within `ms`.
   */
  runUntil(isDone: () => boolean, ms: number): boolean {
    return this.#time.runUntil(isDone, ms);
  }

  /** The process is gone: its sockets are closed by the system, nothing is said. */
  kill(name: string): void {
    const node = this.#node(name);
    node.isAlive = false;
    for (const other of [...node.links.values()]) this.#unlink(node, other);
  }

  /** Relays of different groups cannot reach each other; links between them break. */
  partition(groupOf: (relay: VirtualRelay) => unknown): void {
    this.#groupOf = groupOf;
    for (const node of this.#nodes.values()) {
      for (const other of [...node.links.values()])
        if (!this.#reaches(node, other)) this.#unlink(node, other);
    }
  }

  heal(): void {
    this.#groupOf = () => 0;
  }

  /** A session of a browser joins a room. @returns What it heard so far. */
  join(
    name: string,
    session: string,
    room: string,
    peer = session,
  ): readonly Record<string, unknown>[] {
    const node = this.#node(name);
    node.rooms.handleSessionOpen(session);
    return this.say(name, session, {
      action: 'join',
      room: pad(room, 43),
      peer: pad(peer, 22),
      presence: `presence-of-${peer}`,
    });
  }

  say(
    name: string,
    session: string,
    message: Record<string, unknown>,
  ): readonly Record<string, unknown>[] {
    const node = this.#node(name);
    const before = node.heard.get(session)?.length ?? 0;
    node.rooms.handleFrame(this.now, session, JSON.stringify(message));
    this.#drainRooms(node);
    return (node.heard.get(session) ?? []).slice(before);
  }

  close(name: string, session: string): void {
    const node = this.#node(name);
    node.rooms.handleSessionClosed(session);
    this.#drainRooms(node);
  }

  /** The peers that a session has been told of and not told to be gone. */
  seen(name: string, session: string, room: string): readonly string[] {
    const frames = this.#node(name).heard.get(session) ?? [];
    return peersIn(frames, pad(room, 43)).map((peer) => peer.replace(/_+$/, ''));
  }

  /** Gossips a record from a relay's place without asking the relay: what an attacker does. */
  inject(name: string, record: SignedRelayRecord): void {
    const node = this.#node(name);
    for (const other of node.links.values()) this.#gossip.deliver(node, other, record);
  }

  /** Sends a frame over a relay's link without asking the relay. */
  injectFrame(from: string, to: string, text: string): void {
    const receiver = this.#node(to);
    receiver.core.handleFrame(this.now, this.#node(from).nk, text);
    this.#drain(receiver);
  }

  isLinked(a: string, b: string): boolean {
    return this.#node(a).links.has(this.#node(b).nk);
  }

  renew(name: string): void {
    const node = this.#node(name);
    const { nk, ip, meshPort, mesh } = node.record;
    const fields = {
      nk,
      ip,
      ...(meshPort === undefined ? {} : { meshPort }),
      ...(mesh === undefined ? {} : { mesh }),
    };
    node.core.setRecord(this.sign(fields, node.options.skewSeconds));
    this.#drain(node);
  }

  #node(name: string): VirtualNode {
    const node = this.#nodes.get(name);
    if (node === undefined) throw new Error(`there is no relay ${name}`);
    return node;
  }

  #unixSeconds({ skewSeconds = 0 }: VirtualRelayOptions): number {
    return START_SECONDS + Math.floor(this.now / 1000) + skewSeconds;
  }

  #reaches(a: VirtualNode, b: VirtualNode): boolean {
    return a.isAlive && b.isAlive && this.#groupOf(a) === this.#groupOf(b);
  }

  #wake(node: VirtualNode): void {
    if (!node.isAlive) return;
    node.core.handleTimeout(this.now);
    this.#drain(node);
  }

  #drain(node: VirtualNode): void {
    if (!node.isAlive) return;
    for (let output = node.core.poll(); output !== null; output = node.core.poll())
      this.#perform(node, output);
    const at = node.core.deadline;
    if (at === null || node.wakeAt === at) return;
    node.wakeAt = at;
    this.#time.after(Math.max(0, at - this.now), () => {
      if (node.wakeAt === at) this.#wake(node);
    });
  }

  #perform(node: VirtualNode, output: MeshOutput): void {
    switch (output.type) {
      case 'frame': {
        const other = node.links.get(output.to);
        node.bytesOut += output.text.length + 20;
        if (other === undefined) return;
        this.#time.after(LATENCY_MS, () => {
          if (node.links.get(other.nk) !== other) return;
          other.core.handleFrame(this.now, node.nk, output.text);
          this.#drain(other);
        });
        return;
      }
      case 'dial':
        return this.#time.after(2 * LATENCY_MS, () => this.#dial(node, output.target));
      case 'hangUp': {
        const other = node.links.get(output.nk);
        if (output.isBan) node.bans.add(output.nk);
        if (output.isBan) other?.bannedBy.add(node.name);
        if (other !== undefined) this.#time.after(0, () => this.#unlink(node, other));
        return;
      }
      case 'publish':
        return this.#gossip.forward(node, output.record, null);
      case 'verdict':
        node.waiters.get(output.id)?.(output.verdict);
        node.waiters.delete(output.id);
        return;
      case 'check':
        return this.#check(node, output.id, output.record);
      case 'remotePresent':
      case 'remoteAbsent':
      case 'remoteRefused':
      case 'remoteSignal':
        node.rooms.handleRemoteRooms(output);
        return this.#drainRooms(node);
      case 'ownRecord':
        node.ownRecords.push({ isElsewhere: output.isElsewhere });
        return;
      case 'unproven':
        node.unproven.push(output.nk);
        return;
      case 'proven':
      case 'save':
        return;
    }
  }

  #check(node: VirtualNode, id: string, record: SignedRelayRecord): void {
    const answers = (): VirtualNode | undefined =>
      (this.#byAddress.get(record.ip) ?? []).find(
        (other) => this.#reaches(node, other) && other.options.isFirewalled !== true,
      );
    const isThere = answers() !== undefined;
    // Silence is only known to be silence after a while.
    this.#time.after(isThere ? 4 * LATENCY_MS : SILENCE_MS, () => {
      node.core.handleChecked(this.now, id, answers()?.nk === record.nk ? 'alive' : 'dead');
      this.#drain(node);
    });
  }

  #dial(node: VirtualNode, target: DialTarget): void {
    const other = (this.#byAddress.get(target.host) ?? []).find(
      ({ record, isAlive }) => isAlive && record.meshPort === target.port,
    );
    const mayLink =
      other !== undefined &&
      this.#reaches(node, other) &&
      other.record.mesh === node.record.mesh &&
      !other.bans.has(node.nk) &&
      !node.bans.has(other.nk) &&
      (target.nk === null || target.nk === other.nk) &&
      other.nk !== node.nk;
    if (mayLink && !node.links.has(other.nk)) {
      node.links.set(other.nk, other);
      other.links.set(node.nk, node);
      node.core.handleLinkOpen(this.now, other.nk, true, other.record.ip);
      other.core.handleLinkOpen(this.now, node.nk, false, node.record.ip);
      this.#drain(other);
    }
    node.core.handleDialed(
      this.now,
      target,
      mayLink || other?.nk === node.nk ? (other?.nk ?? null) : null,
    );
    this.#drain(node);
  }

  #unlink(a: VirtualNode, b: VirtualNode): void {
    for (const [node, other] of [
      [a, b],
      [b, a],
    ] as const) {
      if (!node.links.delete(other.nk) || !node.isAlive) continue;
      node.core.handleLinkClosed(this.now, other.nk);
      this.#time.after(0, () => this.#drain(node));
    }
  }

  #drainRooms(node: VirtualNode): void {
    node.rooms.handleTimeout(this.now);
    for (let output = node.rooms.poll(); output !== null; output = node.rooms.poll()) {
      if (output.type === 'close' || output.type === 'dialBack') continue;
      if (output.type !== 'send') {
        node.core.handleLocalRooms(this.now, output);
        this.#drain(node);
        continue;
      }
      hear(node, output.session, output.frame);
    }
    const { deadline } = node.rooms;
    if (deadline === null || node.roomsWakeAt === deadline) return;
    node.roomsWakeAt = deadline;
    this.#time.after(Math.max(0, deadline - this.now), () => {
      node.roomsWakeAt = null;
      this.#drainRooms(node);
    });
  }
}
