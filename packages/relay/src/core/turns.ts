/** Whose turn it is: networks by turns, and of each its sessions, so that a crowd of one is no crowd. */
export class Turns<Session> {
  readonly #byNetwork = new Map<string, Set<Session>>();

  get isEmpty(): boolean {
    return this.#byNetwork.size === 0;
  }

  /** It waits for its turn; whoever does so already goes on to. */
  add(session: Session, network: string): void {
    const sessions = this.#byNetwork.get(network);
    if (sessions === undefined) this.#byNetwork.set(network, new Set([session]));
    else sessions.add(session);
  }

  /** The next one, which waits no longer. */
  take(): Session | undefined {
    const [next] = this.#byNetwork;
    if (next === undefined) return undefined;
    const [network, sessions] = next;
    const [session] = sessions;
    this.#byNetwork.delete(network);
    if (session !== undefined) sessions.delete(session);
    if (sessions.size > 0) this.#byNetwork.set(network, sessions);
    return session;
  }
}
