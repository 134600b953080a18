/* What react-page.ts takes and tells, for react.test.ts as well. */

export interface Panel {
  readonly id: string;
  readonly room: string | null;
  readonly nick: string;
  readonly password?: string;
  /** What it shares; nothing when left out. */
  readonly value?: unknown;
  /** Whether it uses presence at all. Default `true`. */
  readonly hasPresence?: boolean;
}

export interface View {
  readonly net: string;
  readonly room: string | null;
  readonly state: string;
  readonly error: string;
  readonly peers: readonly string[];
  readonly open: readonly string[];
  readonly others: readonly unknown[];
  readonly said: readonly unknown[];
}
