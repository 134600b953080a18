import { type AddressScope, printable, scopeOf } from '@lumamesh/base';
import { type SignedRelayRecord, decodeRecordLine } from '@lumamesh/protocol';

/** Only faults keep a list from being published. */
export type Severity = 'fault' | 'warning' | 'note';

export interface ListFinding {
  /** From 1. */
  readonly line: number;
  readonly severity: Severity;
  readonly text: string;
}

/**
 * Where a listed relay may be. Documentation ranges (RFC 5737, RFC 3849) are public to browsers,
 * but nobody answers there.
 */
export type ListScope = AddressScope | 'documentation';

export interface ListRules {
  readonly nowUnixMs: number;
  /** Whether the record's `nk` signed it. */
  readonly isSigned: (record: SignedRelayRecord) => boolean;
  readonly allowedScopes?: readonly ListScope[];
  /** Records signed later than this are faults; by default a little later than now. */
  readonly maxSequenceSeconds?: number;
}

export interface ListedRelay {
  readonly line: number;
  readonly record: SignedRelayRecord;
}

export interface CheckedList {
  /** Those whose lines have no fault, in the order of the file. */
  readonly relays: readonly ListedRelay[];
  readonly findings: readonly ListFinding[];
}

/**
 * What a dialled relay answers; `full` ones are well, and `unknown` means that this machine could
 * not ask.
 */
export type DialResult = 'alive' | 'full' | 'dead' | 'unknown';

/** Some 1 500 relays. Pages load the whole of it. */
export const MAX_LIST_BYTES = 1024 * 1024;
export const MAX_DIALS_AT_ONCE = 8;

const DAY_SECONDS = 86_400;
const EXPIRES_SOON_DAYS = 30;
/** A sequence is a time of signing; clocks may differ by this much. */
const CLOCK_SKEW_SECONDS = 900;
const LINE_FEED = 10;
/** libwebrtc refuses candidates on ports below 1024, but for 80 and 443. */
const LOWEST_PORT = 1024;
const LOW_PORTS_ALLOWED: readonly number[] = [80, 443];
const DOCUMENTATION = /^(192\.0\.2|198\.51\.100|203\.0\.113)\.|^2001:db8:/;
/** As PUBLIC_HOST, but with a dot in it: names without one mean something in one network only. */
const PUBLIC_NAME =
  /^(?=.{1,253}$)([a-z0-9_]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/i;

/** Checks all that a `relay.txt` shows by itself. Never throws: it reads what strangers propose. */
export function checkRelayList(bytes: Uint8Array, rules: ListRules): CheckedList {
  if (bytes.length > MAX_LIST_BYTES)
    return failed(1, `the list has ${bytes.length} bytes; at most ${MAX_LIST_BYTES} are allowed`);
  const text = decodeUtf8(bytes);
  if (text === null) return failed(lineOfBadUtf8(bytes), 'the file is not UTF-8');
  const lines = text.split('\n');
  const findings: ListFinding[] = [];
  const last = lines.pop();
  if (last !== undefined && last !== '') {
    lines.push(last);
    findings.push({
      line: lines.length,
      severity: 'fault',
      text: 'the last line does not end with \\n',
    });
  }
  const relays: ListedRelay[] = [];
  const owners = new Map<string, number>();
  for (const [i, content] of lines.entries()) {
    const found = checkLine(content, i + 1, rules, owners);
    findings.push(...found.findings);
    if (found.record !== null && !found.findings.some(({ severity }) => severity === 'fault'))
      relays.push({ line: i + 1, record: found.record });
  }
  return { relays, findings: findings.toSorted((a, b) => a.line - b.line) };
}

/** Dials relays, at most {@link MAX_DIALS_AT_ONCE} at once. `dial` must not reject. */
export async function dialRelays(
  relays: readonly ListedRelay[],
  dial: (record: SignedRelayRecord) => Promise<DialResult>,
): Promise<readonly ListFinding[]> {
  const findings: ListFinding[] = [];
  // One iterator for all workers: each takes the next relay that nobody has taken.
  const waiting = relays.values();
  const work = async (): Promise<void> => {
    for (const { line, record } of waiting) {
      const result = await dial(record);
      const where = `${record.ip}, port ${record.port}`;
      if (result === 'dead')
        findings.push({
          line,
          severity: 'fault',
          text: `nobody answers at ${where} as the record says`,
        });
      else if (result === 'unknown')
        findings.push({
          line,
          severity: 'warning',
          text: `${where} could not be dialled from this machine`,
        });
    }
  };
  await Promise.all(Array.from({ length: MAX_DIALS_AT_ONCE }, work));
  return findings.sort((a, b) => a.line - b.line);
}

/** `relay.txt:7: text`. What a stranger wrote cannot move the cursor, nor speak to a CI. */
export function formatFinding(file: string, { line, severity, text }: ListFinding): string {
  return `${file}:${line}: ${severity === 'fault' ? '' : `${severity}: `}${printable(text).replaceAll('##[', '## [')}`;
}

function checkLine(
  content: string,
  line: number,
  rules: ListRules,
  owners: Map<string, number>,
): { readonly record: SignedRelayRecord | null; readonly findings: readonly ListFinding[] } {
  if (content === '' || (content.startsWith('#') && !content.endsWith('\r')))
    return { record: null, findings: [] };
  const fault = findTextFault(content);
  const decoded = fault === null ? decodeRecordLine(content) : null;
  if (decoded === null || !decoded.ok)
    return {
      record: null,
      findings: failed(line, fault ?? (decoded?.ok === false ? decoded.drop : '')).findings,
    };
  const record = decoded.value;
  const findings = [...inspect(record, rules), ...findDuplicates(record, line, owners)].map(
    ([severity, text]) => ({ line, severity, text }),
  );
  return { record, findings };
}

/** What decoders forgive and a published list should not have. */
function findTextFault(content: string): string | null {
  if (content.endsWith('\r')) return 'the line ends with \\r\\n: lines end with \\n';
  if (content !== content.trim()) return 'there is blank space before or behind the record';
  if (/\s/.test(content)) return 'a line holds one record, and nothing else';
  return null;
}

function* inspect(
  record: SignedRelayRecord,
  { nowUnixMs, isSigned, allowedScopes = ['public'], maxSequenceSeconds }: ListRules,
): Generator<readonly [Severity, string]> {
  const { ip, ip6, host, port, expires, sequence, mesh, access } = record;
  if (!isSigned(record)) yield ['fault', 'the record is not signed by its node key'];
  const seconds = Math.floor(nowUnixMs / 1000);
  const days = Math.floor((expires - seconds) / DAY_SECONDS);
  if (expires <= seconds) yield ['fault', 'the record has expired'];
  else if (days < EXPIRES_SOON_DAYS)
    yield [
      'warning',
      `the record expires in ${days} days: take the line that the relay prints now`,
    ];
  // Nothing that the relay signs before that time would replace it.
  if (sequence > (maxSequenceSeconds ?? seconds + CLOCK_SKEW_SECONDS))
    yield [
      'fault',
      'the record was signed in the future: set the clock of the relay, and take a new line',
    ];
  for (const address of ip6 === undefined ? [ip] : [ip, ip6]) {
    const scope = DOCUMENTATION.test(address) ? 'documentation' : scopeOf(address);
    if (!allowedScopes.includes(scope))
      yield [
        'fault',
        `${address} is ${NAMES[scope]}: set PUBLIC_IP to an address that browsers anywhere can dial`,
      ];
  }
  if (port < LOWEST_PORT && !LOW_PORTS_ALLOWED.includes(port))
    yield ['fault', `browsers refuse port ${port}`];
  if (host !== undefined && !PUBLIC_NAME.test(host))
    yield ['fault', `${host} is no public DNS name`];
  if (access !== undefined)
    yield ['fault', 'the relay is private: who takes the list has no token for it'];
  if (mesh !== undefined)
    yield ['note', `it is in the mesh ${mesh}: pages that meet by it meet in that mesh`];
}

const NAMES: Readonly<Record<ListScope, string>> = {
  public: 'a public address',
  private: 'a private address',
  loopback: 'a loopback address',
  documentation: 'an address for examples',
  unusable: 'no address of a machine',
};

function* findDuplicates(
  { nk, ip, ip6, port }: SignedRelayRecord,
  line: number,
  owners: Map<string, number>,
): Generator<readonly [Severity, string]> {
  const keys: readonly (readonly [string, string])[] = [
    [`nk ${nk}`, 'the same node key'],
    [`${ip} ${port}`, 'the same address and port'],
    ...(ip6 === undefined || ip6 === ip
      ? []
      : [[`${ip6} ${port}`, 'the same IPv6 address and port'] as const]),
  ];
  for (const [key, what] of keys) {
    const first = owners.get(key);
    if (first === undefined) owners.set(key, line);
    else yield ['fault', `line ${first} has ${what}`];
  }
}

function decodeUtf8(bytes: Uint8Array): string | null {
  try {
    // A byte order mark stays, and is a fault of the first line.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

/** UTF-8 has no line feed inside a character: each line can be asked for itself. */
function lineOfBadUtf8(bytes: Uint8Array): number {
  for (let line = 1, start = 0; ; line += 1) {
    const end = bytes.indexOf(LINE_FEED, start);
    if (end === -1 || decodeUtf8(bytes.subarray(start, end)) === null) return line;
    start = end + 1;
  }
}

function failed(line: number, text: string): CheckedList {
  return { relays: [], findings: [{ line, severity: 'fault', text }] };
}
