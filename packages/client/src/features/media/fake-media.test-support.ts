/* Browsers' objects of media, as far as the parts that are tested without a browser use them. */

export class FakeTrack {
  enabled = true;
  muted = false;
  readyState = 'live';
  readonly id: string;
  readonly kind: string;

  constructor(id: string, kind = 'video') {
    this.id = id;
    this.kind = kind;
  }
}

export class FakeStream {
  readonly id: string;
  readonly #tracks: Set<FakeTrack>;

  constructor(id = '', ...tracks: readonly FakeTrack[]) {
    this.id = id;
    this.#tracks = new Set(tracks);
  }

  getTracks(): readonly FakeTrack[] {
    return [...this.#tracks];
  }

  addTrack(track: FakeTrack): void {
    this.#tracks.add(track);
  }

  removeTrack(track: FakeTrack): void {
    this.#tracks.delete(track);
  }
}

/** A transceiver whose connection agrees when it is told to. */
export class FakeTransceiver {
  direction = 'sendonly';
  currentDirection: string | null = null;
  mid: string | null = null;
  codecs: readonly unknown[] = [];
  parameters: { encodings: Record<string, unknown>[] } = { encodings: [{}] };
  /** Tracks that it was asked to send. */
  readonly asked: (FakeTrack | null)[] = [];
  readonly receiver: { readonly track: FakeTrack };
  readonly sender = {
    replaceTrack: async (track: FakeTrack | null) => void this.asked.push(track),
    getParameters: () => this.parameters,
    setParameters: async (parameters: FakeTransceiver['parameters']) => {
      this.parameters = parameters;
    },
  };

  constructor(kind: string) {
    this.receiver = { track: new FakeTrack('received', kind) };
  }

  setCodecPreferences(codecs: readonly unknown[]): void {
    this.codecs = codecs;
  }
}

export class FakeConnection {
  readonly transceivers: FakeTransceiver[] = [];

  addTransceiver(kind: string): FakeTransceiver {
    const transceiver = new FakeTransceiver(kind);
    this.transceivers.push(transceiver);
    return transceiver;
  }

  /** The two sides agree. */
  negotiate(): void {
    for (const [i, transceiver] of this.transceivers.entries()) {
      transceiver.mid = String(i);
      transceiver.currentDirection = transceiver.direction;
    }
  }
}
