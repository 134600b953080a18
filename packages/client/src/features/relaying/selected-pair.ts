/** The fields of any object of getStats that are read here; each is absent somewhere. */
export interface StatsEntry {
  readonly id?: string;
  readonly type?: string;
  readonly selectedCandidatePairId?: string;
  readonly selected?: boolean;
  readonly nominated?: boolean;
  readonly state?: string;
  readonly localCandidateId?: string;
  readonly remoteCandidateId?: string;
  readonly candidateType?: RTCIceCandidateType;
  readonly protocol?: 'udp' | 'tcp';
  readonly bytesSent?: number;
  readonly bytesReceived?: number;
  readonly currentRoundTripTime?: number;
  readonly tlsVersion?: string;
  readonly tlsGroup?: string;
}

/** The pair of candidates in use, its ends, whether one is a TURN server's, and what it was chosen from. */
export async function readPair(connection: Pick<RTCPeerConnection, 'getStats'>) {
  const entries = new Map<string, StatsEntry>();
  (await connection.getStats()).forEach((entry: StatsEntry, id: string) => entries.set(id, entry));
  const all = [...entries.values()];
  const pairs = all.filter(({ type }) => type === 'candidate-pair');
  const transport = all.find(({ type }) => type === 'transport');
  const pair = selectedOf(pairs, transport);
  const local = entries.get(pair?.localCandidateId ?? '');
  const remote = entries.get(pair?.remoteCandidateId ?? '');
  const isRelayed = [local, remote].some((end) => end?.candidateType === 'relay');
  return { pair, local, remote, isRelayed, pairs, transport };
}

/** Not every browser names it in the same place. */
function selectedOf(
  pairs: readonly StatsEntry[],
  transport: StatsEntry | undefined,
): StatsEntry | undefined {
  return (
    pairs.find(({ id }) => id !== undefined && id === transport?.selectedCandidatePairId) ??
    pairs.find(({ selected }) => selected === true) ??
    pairs.find(({ nominated, state }) => nominated === true && state === 'succeeded')
  );
}
