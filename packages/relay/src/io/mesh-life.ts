import type { SignedRelayRecord } from '@lumamesh/protocol';
import { NO_REMOTE_ROOMS, type NodePage, type RemoteRooms } from '../core/remote-rooms.ts';
import type { MeshSetup } from './mesh-setup.ts';
import type { MeshEvent, MeshServer } from './mesh/mesh-server.ts';

/** The mesh of a relay, which leaves it and comes back; while it is in none it is by itself. */
export class MeshLife implements RemoteRooms {
  readonly #setup: MeshSetup;
  readonly #onEvent: (event: MeshEvent) => void;
  #server: MeshServer | null = null;

  constructor(setup: MeshSetup, onEvent: (event: MeshEvent) => void) {
    this.#setup = setup;
    this.#onEvent = onEvent;
  }

  get server(): MeshServer | null {
    return this.#server;
  }

  /** Rejects with `MESH_LISTEN_FAILED`. */
  async start(record: SignedRelayRecord): Promise<void> {
    this.#server ??= await this.#setup.start(record, this.#onEvent);
  }

  /** Says goodbye to the others. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    await server?.close();
  }

  membersOf(room: string): ReturnType<RemoteRooms['membersOf']> {
    return this.#rooms.membersOf(room);
  }

  has(room: string, peer: string): boolean {
    return this.#rooms.has(room, peer);
  }

  presencesOf(room: string, peer: string): readonly string[] {
    return this.#rooms.presencesOf(room, peer);
  }

  canReach(room: string, peer: string): boolean {
    return this.#rooms.canReach(room, peer);
  }

  homesOf(room: string): readonly SignedRelayRecord[] {
    return this.#rooms.homesOf(room);
  }

  nodes(limit: number, after: string): NodePage {
    return this.#rooms.nodes(limit, after);
  }

  get #rooms(): RemoteRooms {
    return this.#server?.rooms ?? NO_REMOTE_ROOMS;
  }
}
