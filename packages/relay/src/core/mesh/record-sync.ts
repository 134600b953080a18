import { type Instant, later } from '@lumamesh/base';
import type { LinkTable } from './link-table.ts';
import { MESH_LIMITS, type SyncFrame } from './mesh-frame.ts';
import { type MeshLink, isUsable } from './mesh-link.ts';
import type { RelayDirectory } from './relay-directory.ts';

/** A full page of records has others behind it. */
const SYNC_NEXT_PAGE_MS = 300;
const SYNC_MAX_MS = 120_000;

/**
 * Compares the records of two linked relays: when the link comes up, soon after that, and rarely
 * afterwards.
 */
export class RecordSync {
  readonly #directory: RelayDirectory;
  readonly #links: LinkTable;
  readonly #random: () => number;

  constructor(directory: RelayDirectory, links: LinkTable, random: () => number) {
    this.#directory = directory;
    this.#links = links;
    this.#random = random;
  }

  /** Opens a comparison. */
  begin(now: Instant, link: MeshLink): void {
    link.syncAt = later(now, link.syncMs * (0.75 + this.#random() / 2));
    link.syncMs = Math.min(SYNC_MAX_MS, link.syncMs * 2);
    this.#links.send(link.nk, this.#directory.set.summary());
  }

  /** Opens those that are due. */
  update(now: Instant): void {
    for (const link of this.#links.values())
      if (isUsable(link) && link.syncAt <= now) this.begin(now, link);
  }

  handleFrame(now: Instant, link: MeshLink, frame: SyncFrame): void {
    if (!link.budgets.syncs.take(now)) return this.#links.strike(now, link, 'mesh.sync.tooOften');
    if (frame.type === 'records') {
      for (const record of frame.records) this.#directory.offer(now, record, 'sync', link.nk);
      if (frame.records.length >= MESH_LIMITS.maxRecords)
        link.syncAt = later(now, SYNC_NEXT_PAGE_MS);
      return;
    }
    for (const answer of this.#directory.set.answer(frame)) this.#links.send(link.nk, answer);
  }
}
