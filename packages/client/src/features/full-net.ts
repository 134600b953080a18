import { LumameshError, scopeOf } from '@lumamesh/base';
import type { PeerIdentity } from '../../core/peer-identity.ts';
import {
  type KnownRelay,
  type RelaySource,
  readRelayList,
  readRelaySources,
} from '../../core/relay-source.ts';
import { type ConnectOptions, Net } from '../net.ts';
import type { Platform } from '../platform.ts';
import { type RoomHost, toError } from '../room.ts';
import { FullRoom, type FullRoomOptions, KnockRoom } from './full-room.ts';
import { IdentityStore } from './identity-store.ts';
import type * as Help from './network-help.ts';

const LIST_RETRY_MS = 30_000;
const URL_LIKE = /^(https?:|\.{0,2}\/)\S*$/;

const loadHelp = async (): Promise<typeof Help> => import('./network-help.ts');

/** The page's place in the network, with all that the library has. */
export class FullNet extends Net<FullRoom> {
  readonly #identities: IdentityStore;
  #expectedLists = 0;

  constructor(options: ConnectOptions, platform: Platform) {
    super(options, platform);
    this.#identities = new IdentityStore(platform, platform.storage('sessionStorage'));
  }

  /** Joins a room by name; everybody who names it the same (with the same password) is there. Throws `NET_CLOSED` or `BAD_ROOM_NAME`. */
  override joinRoom(name: string, options: FullRoomOptions = {}): FullRoom {
    return super.joinRoom(name, options);
  }

  protected override makeRoom(name: string, options: FullRoomOptions, host: RoomHost): FullRoom {
    // The room in which those who know the name tell whether they mean the same password, without a connection to anybody.
    const knock = (tag: number, onMismatch: () => void): KnockRoom => {
      const room = this.open(
        JSON.stringify(['knock', name, options.password]),
        (knockHost) => new KnockRoom(name, tag, onMismatch, { ...knockHost, knock }),
      );
      return room as KnockRoom;
    };
    return new FullRoom(name, options, { ...host, knock });
  }

  protected override readSources(sources: string | readonly RelaySource[]): readonly KnownRelay[] {
    const entries: readonly RelaySource[] = typeof sources === 'string' ? [sources] : [...sources];
    const isUrl = (entry: unknown): entry is string | URL =>
      entry instanceof URL || (typeof entry === 'string' && URL_LIKE.test(entry));
    for (const url of entries.filter(isUrl)) void this.#fetchList(String(url));
    return readRelaySources(entries.filter((entry) => !isUrl(entry)));
  }

  protected override get isExpectingRelays(): boolean {
    return this.#expectedLists > 0;
  }

  protected override async addressesOf(relay: KnownRelay): Promise<readonly string[]> {
    const own = (await super.addressesOf(relay)).filter(
      (address) => scopeOf(address) !== 'unusable',
    );
    const isUsable =
      own.length > 0 && (relay.host === undefined || scopeOf(relay.ip) !== 'loopback');
    if (isUsable || relay.host === undefined) return own;
    const resolved = await loadHelp().then(
      async ({ resolveHost }) => resolveHost(relay.host ?? '', this.platform.unixSeconds()),
      () => [],
    );
    return resolved.length > 0 ? resolved : own;
  }

  protected override async identityFor(roomId: string): Promise<PeerIdentity> {
    return this.#identities.take(roomId);
  }

  protected override handlePageHide(rooms: readonly FullRoom[]): void {
    for (const room of rooms)
      if (room.roomId !== null) this.#identities.keep(room.roomId, room.counter);
  }

  protected override async lookInto(fault: LumameshError): Promise<LumameshError> {
    if (fault.code !== 'RELAYS_UNREACHABLE') return fault;
    const found = await loadHelp().then(
      async ({ probeNetwork }) =>
        probeNetwork(this.seeds, this.options.iceServers ?? [], this.platform),
      () => null,
    );
    return found === null ? fault : new LumameshError(found[0], found[1], { cause: fault });
  }

  async #fetchList(url: string): Promise<void> {
    this.#expectedLists += 1;
    try {
      const response = await fetch(url, { credentials: 'omit' });
      if (!response.ok) throw new Error(`HTTP ${response.status}`);
      this.addSeeds(readRelayList(await response.text()));
    } catch (cause) {
      this.handleListFailed(
        url,
        new LumameshError('RELAY_LIST_FAILED', `${url}: ${toError(cause).message}`, { cause }),
      );
      this.platform.setTimer(LIST_RETRY_MS, () => {
        if (this.status.state !== 'closed') void this.#fetchList(url);
      });
    }
  }
}
