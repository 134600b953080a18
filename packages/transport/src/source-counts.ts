import { CountMap } from './count-map.ts';
import type { Source } from './source.ts';

/** How many of something there are of each source: of its address, and of the network around it. */
export class SourceCounts {
  readonly #hosts = new CountMap();
  readonly #networks = new CountMap();

  ofHost({ host }: Source): number {
    return this.#hosts.get(host);
  }

  ofNetwork({ network }: Source): number {
    return this.#networks.get(network);
  }

  change({ host, network }: Source, by: 1 | -1): void {
    this.#hosts.change(host, by);
    this.#networks.change(network, by);
  }
}
