import type { PeerId } from '@libp2p/interface';
import { TopicValidatorResult } from '@libp2p/gossipsub';
import { utf8Decode, utf8Encode } from '@lumamesh/base';
import { type SignedRelayRecord, decodeRecordLine, encodeRecordLine } from '@lumamesh/protocol';
import type { Logger } from '../log.ts';
import type { MeshNode } from './libp2p-node.ts';
import { nodeKeyOf } from './node-key.ts';

export type GossipVerdict = 'accept' | 'ignore' | 'reject';

/** Gossiped records that wait for a check, in all and for the same one. */
const MAX_WAITERS = 512;
const MAX_WAITERS_PER_RECORD = 8;
const MAX_WAIT_MS = 45_000;

const RESULTS: Readonly<Record<GossipVerdict, TopicValidatorResult>> = {
  accept: TopicValidatorResult.Accept,
  ignore: TopicValidatorResult.Ignore,
  reject: TopicValidatorResult.Reject,
};

/** Records by gossipsub: each is passed on when it was verified and dialled here, not before. */
export class RecordGossip {
  readonly #node: MeshNode;
  readonly #topic: string;
  readonly #log: Logger;
  readonly #offer: (
    from: string,
    record: SignedRelayRecord,
    bytes: number,
    wait: (id: string | null) => void,
  ) => void;
  /** Validators that wait, by record id. */
  readonly #waiters = new Map<string, ((result: TopicValidatorResult) => void)[]>();
  #waiting = 0;

  /**
   * @param offer takes a record, calls `wait` with the id under which its verdict will come (`null`:
   *   there is none, and it goes no further), and tells {@link settle}, at once or later
   */
  constructor(
    node: MeshNode,
    topic: string,
    log: Logger,
    offer: (
      from: string,
      record: SignedRelayRecord,
      bytes: number,
      wait: (id: string | null) => void,
    ) => void,
  ) {
    this.#node = node;
    this.#topic = topic;
    this.#log = log;
    this.#offer = offer;
  }

  /** To be called before the node starts. */
  listen(): void {
    this.#node.services.pubsub.topicValidators.set(this.#topic, (from, message) =>
      this.#validate(from, message.data),
    );
  }

  subscribe(): void {
    this.#node.services.pubsub.subscribe(this.#topic);
  }

  async publish(record: SignedRelayRecord): Promise<void> {
    try {
      await this.#node.services.pubsub.publish(this.#topic, utf8Encode(encodeRecordLine(record)));
    } catch (error) {
      // Nobody is lost by it: sets are compared on every link.
      this.#log.debug({ error: (error as Error).message }, 'a record could not be published');
    }
  }

  /** What the records under this id are worth. */
  settle(id: string, verdict: GossipVerdict): void {
    const waiting = this.#waiters.get(id) ?? [];
    this.#waiters.delete(id);
    this.#waiting -= waiting.length;
    for (const resolve of waiting) resolve(RESULTS[verdict]);
  }

  #validate(from: PeerId, data: Uint8Array): TopicValidatorResult | Promise<TopicValidatorResult> {
    const record = decodeRecordLine(utf8Decode(data) ?? '');
    if (!record.ok) return TopicValidatorResult.Reject;
    if (this.#waiting >= MAX_WAITERS) return TopicValidatorResult.Ignore;
    return new Promise((resolve) => {
      this.#offer(nodeKeyOf(from) ?? '', record.value, data.length, (id) =>
        id === null ? resolve(TopicValidatorResult.Ignore) : this.#wait(id, resolve),
      );
    });
  }

  #wait(id: string, resolve: (result: TopicValidatorResult) => void): void {
    const waiting = this.#waiters.get(id) ?? [];
    if (waiting.length >= MAX_WAITERS_PER_RECORD) return resolve(TopicValidatorResult.Ignore);
    waiting.push(resolve);
    this.#waiting += 1;
    if (waiting.length > 1) return;
    this.#waiters.set(id, waiting);
    // A check that gets lost must not hold gossip up for good.
    setTimeout(
      () => this.#waiters.get(id) === waiting && this.settle(id, 'ignore'),
      MAX_WAIT_MS,
    ).unref();
  }
}
