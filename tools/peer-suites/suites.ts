import type { Checkout, Source } from './checkout.ts';
import { automerge } from './automerge.ts';
import { rxdb } from './rxdb.ts';
import { tinybase } from './tinybase.ts';
import { trystero } from './trystero.ts';
import { yProtocols } from './y-protocols.ts';

/** A program of a suite. */
export interface Command {
  readonly title: string;
  readonly command: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** In a row. */
  readonly times?: number;
}

/** The tests of a library that an adapter is for. */
export interface PeerSuite {
  readonly name: string;
  /** A commit, a package of this workspace that ships them, or one that is installed for the run. */
  readonly source:
    | Source
    | { readonly installed: string }
    | { readonly registry: string; readonly version: string };
  /** Makes what was fetched ready to run, with our adapter in it. It may use the network. */
  prepare(checkout: Checkout): void | Promise<void>;
  /** What is run then, without the network. */
  commands(checkout: Checkout): readonly Command[];
}

export const SUITES: readonly PeerSuite[] = [trystero, tinybase, rxdb, automerge, yProtocols];
