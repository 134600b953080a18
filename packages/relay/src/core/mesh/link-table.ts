import type { DropCounters, Fifo, Instant } from '@lumamesh/base';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import { type DialTarget, placeOf } from './dial-choice.ts';
import { LinkPolicy } from './link-policy.ts';
import { type MeshFrame, encodeMeshFrame } from './mesh-frame.ts';
import { type MeshLink, isUsable, makeMeshLink } from './mesh-link.ts';
import type { MeshOutput } from './mesh-output.ts';
import { MeshTraffic, purposeOf } from './mesh-traffic.ts';

export interface LinkCounts {
  readonly outbound: number;
  readonly inbound: number;
  /** Links to relays that have shown a record that answers. */
  readonly proven: number;
  /** Links to relays to which this one has. */
  readonly accepted: number;
  readonly dialing: number;
}

export interface LinkTableOptions {
  readonly nk: string;
  readonly peers: readonly { readonly host: string; readonly port: number }[];
  readonly random: () => number;
  readonly drops: DropCounters;
}

/**
 * The one record of each link, by node key: frames go out over it, and it is kept or ended by
 * {@link LinkPolicy}.
 */
export class LinkTable {
  readonly traffic = new MeshTraffic();
  readonly #policy: LinkPolicy;
  readonly #drops: DropCounters;
  readonly #outputs: Pick<Fifo<MeshOutput>, 'push'>;
  readonly #links = new Map<string, MeshLink>();

  constructor(options: LinkTableOptions, outputs: Pick<Fifo<MeshOutput>, 'push'>) {
    this.#policy = new LinkPolicy(options);
    this.#drops = options.drops;
    this.#outputs = outputs;
  }

  get counts(): LinkCounts {
    const links = [...this.#links.values()].filter(({ isEnding }) => !isEnding);
    const outbound = links.filter(({ isOutbound }) => isOutbound).length;
    return {
      outbound,
      inbound: links.length - outbound,
      proven: links.filter(({ isReady }) => isReady).length,
      accepted: links.filter(({ remoteReady }) => remoteReady).length,
      dialing: this.#policy.dials.dialing,
    };
  }

  get(nk: string): MeshLink | undefined {
    return this.#links.get(nk);
  }

  values(): Iterable<MeshLink> {
    return this.#links.values();
  }

  isUsable(nk: string): boolean {
    return isUsable(this.#links.get(nk));
  }

  open(now: Instant, nk: string, isOutbound: boolean, address: string): void {
    this.#links.set(nk, makeMeshLink(now, nk, isOutbound, address));
  }

  /** The link is no more. */
  close(nk: string): MeshLink | undefined {
    const link = this.#links.get(nk);
    this.#links.delete(nk);
    return link;
  }

  /** Other places to dial, from now on. */
  setPeers(peers: LinkTableOptions['peers']): void {
    this.#policy.dials.setPeers(peers);
  }

  /** A dial has ended. @param nk who is there; `null` when nobody answered */
  noteDialed(now: Instant, target: DialTarget, nk: string | null): void {
    const link = nk === null ? undefined : this.#links.get(nk);
    if (link !== undefined) link.place = placeOf(target);
    this.#policy.dials.noteDialed(now, target, nk);
  }

  /** Dials and hangs up as the policy wants it: see {@link LinkPolicy.decide}. */
  keep(
    now: Instant,
    relays: readonly SignedRelayRecord[],
    wanted: ReadonlySet<string>,
    isConverging: boolean,
  ): void {
    const links = this.#links.values();
    const { hangUps, dials } = this.#policy.decide(now, links, relays, wanted, isConverging);
    for (const { nk, reason } of hangUps) this.hangUp(nk, reason, false);
    for (const target of dials) this.#outputs.push({ type: 'dial', target });
  }

  /** Sends a frame; without a link it is lost. */
  send(nk: string, frame: MeshFrame): void {
    if (!this.#links.has(nk)) return;
    const text = encodeMeshFrame(frame);
    this.traffic.count(purposeOf(frame), 'out', text.length);
    this.#outputs.push({ type: 'frame', to: nk, text });
  }

  hangUp(nk: string, reason: string, isBan: boolean): void {
    this.#drops.count(`mesh.link.${reason}`);
    const link = this.#links.get(nk);
    if (link !== undefined) link.isEnding = true;
    this.#outputs.push({ type: 'hangUp', nk, reason, isBan });
  }

  /** A frame that could not be taken: after some of them the link ends. */
  strike(now: Instant, link: MeshLink, reason: string): void {
    this.#drops.count(reason);
    if (!link.budgets.strikes.take(now)) this.hangUp(link.nk, 'tooManyErrors', true);
  }
}
