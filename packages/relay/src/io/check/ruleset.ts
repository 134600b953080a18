/*
 * What `nft -j list ruleset` says of a new packet for a port: libnftables-json(5), "Ruleset" and
 * "Expressions". Rules that depend on what is not known here (addresses, interfaces, limits) make
 * it uncertain; nothing is said to be closed that may be open.
 */

export interface ChainPlace {
  readonly family: string;
  readonly table: string;
  readonly chain: string;
}

/**
 * `open`: every chain lets it in. `closed`: these drop it. `unsure`: it depends. `none`: nothing
 * filters what comes in.
 */
export interface RulesetVerdict {
  readonly verdict: 'open' | 'closed' | 'unsure' | 'none';
  readonly closedBy: readonly ChainPlace[];
}

export interface Probe {
  readonly protocol: 'udp' | 'tcp';
  readonly port: number;
}

type Json = Readonly<Record<string, unknown>>;
type Match = 'yes' | 'no' | 'maybe';
type Outcome = 'accept' | 'drop' | 'return';

interface Chain extends ChainPlace {
  readonly fields: Json;
  readonly rules: Json[];
}

const FAMILIES: readonly unknown[] = ['inet', 'ip'];
const HOOKS: readonly unknown[] = ['input', 'prerouting'];
/** Loops of jumps are none that the kernel takes. */
const MAX_DEPTH = 16;
/** They decide nothing. */
const NEUTRAL = ['counter', 'log', 'comment', 'mangle', 'notrack'];

/** Never throws: what is not understood is `unsure`. */
export function judgeRuleset(json: unknown, probe: Probe): RulesetVerdict {
  const { chains, sets } = readRuleset(json);
  const based = [...chains.values()].filter(
    ({ family, fields }) =>
      FAMILIES.includes(family) && fields['type'] === 'filter' && HOOKS.includes(fields['hook']),
  );
  const results = based.map((chain) => ({ chain, result: judgeChain(chain, chains, sets, probe) }));
  const closedBy = results
    .filter(({ result }) => result === 'closed')
    .map(({ chain: { family, table, chain } }) => ({ family, table, chain }));
  if (closedBy.length > 0) return { verdict: 'closed', closedBy };
  if (results.length === 0) return { verdict: 'none', closedBy };
  const isUnsure = results.some(({ result }) => result === 'unsure');
  return { verdict: isUnsure ? 'unsure' : 'open', closedBy };
}

function readRuleset(json: unknown): {
  readonly chains: ReadonlyMap<string, Chain>;
  readonly sets: ReadonlyMap<string, readonly unknown[]>;
} {
  const chains = new Map<string, Chain>();
  const sets = new Map<string, readonly unknown[]>();
  for (const item of listOf(objectOf(json)['nftables'])) {
    const { chain, rule, set } = objectOf(item);
    const fields = objectOf(chain ?? rule ?? set);
    const [family, table] = [String(fields['family']), String(fields['table'])];
    if (chain !== undefined) {
      const name = String(fields['name']);
      chains.set(`${family} ${table} ${name}`, { family, table, chain: name, fields, rules: [] });
    } else if (rule !== undefined)
      chains.get(`${family} ${table} ${String(fields['chain'])}`)?.rules.push(fields);
    else if (set !== undefined)
      sets.set(`${family} ${table} @${String(fields['name'])}`, listOf(fields['elem']));
  }
  return { chains, sets };
}

function judgeChain(
  base: Chain,
  chains: ReadonlyMap<string, Chain>,
  sets: ReadonlyMap<string, readonly unknown[]>,
  probe: Probe,
): 'open' | 'closed' | 'unsure' {
  const maybe = new Set<Outcome>();

  const walk = (chain: Chain, depth: number): Outcome => {
    for (const rule of chain.rules) {
      const outcome = apply(chain, rule, depth);
      if (outcome === 'return') return 'return';
      if (outcome !== null) return outcome;
    }
    return 'return';
  };

  /** What a rule does to the packet for certain; what it may do is noted. */
  const apply = (chain: Chain, rule: Json, depth: number): Outcome | null => {
    let match: Match = 'yes';
    for (const expression of listOf(rule['expr'])) {
      const [kind = '', value] = Object.entries(objectOf(expression))[0] ?? [];
      if (kind === 'match') {
        match = both(match, matches(objectOf(value), chain));
        if (match === 'no') return null;
        continue;
      }
      if (NEUTRAL.includes(kind)) continue;
      const outcome = verdictOf(kind, value, chain, depth);
      if (outcome === 'unknown') {
        match = 'maybe';
        continue;
      }
      if (match === 'yes') return outcome;
      if (outcome !== null) maybe.add(outcome);
      return null;
    }
    return null;
  };

  const verdictOf = (
    kind: string,
    value: unknown,
    chain: Chain,
    depth: number,
  ): Outcome | null | 'unknown' => {
    if (kind === 'accept' || kind === 'return') return kind;
    if (kind === 'drop' || kind === 'reject') return 'drop';
    if (kind === 'jump' || kind === 'goto') {
      const { family, table } = chain;
      const target = chains.get(`${family} ${table} ${String(objectOf(value)['target'])}`);
      if (target === undefined || depth >= MAX_DEPTH) return 'unknown';
      const outcome = walk(target, depth + 1);
      return outcome === 'return' && kind === 'jump' ? null : outcome;
    }
    return kind === 'vmap' ? mapped(objectOf(value), chain, depth) : 'unknown';
  };

  /** A verdict map: pairs of a value and what becomes of packets that have it. */
  const mapped = ({ key, data }: Json, chain: Chain, depth: number): Outcome | null | 'unknown' => {
    const pairs = objectOf(data)['set'];
    if (pairs === undefined) {
      // A map by its name: whatever it leads to may happen.
      maybe.add('accept').add('drop');
      return 'unknown';
    }
    for (const pair of listOf(pairs)) {
      const [element, verdict] = listOf(pair);
      const match = matches({ op: '==', left: key, right: element }, chain);
      const [kind = '', value] = Object.entries(objectOf(verdict))[0] ?? [];
      if (match === 'no') continue;
      const outcome = verdictOf(kind, value, chain, depth);
      if (match === 'yes') return outcome;
      if (outcome !== null && outcome !== 'unknown') maybe.add(outcome);
    }
    return null;
  };

  const matches = ({ op, left, right }: Json, { family, table }: Chain): Match => {
    const { payload, meta, ct } = objectOf(left);
    const answer = (found: Match): Match =>
      op === '!=' ? (found === 'maybe' ? found : found === 'yes' ? 'no' : 'yes') : found;
    const values = elementsOf(right, (name) => sets.get(`${family} ${table} ${name}`) ?? []);
    if (payload !== undefined) {
      const { protocol, field } = objectOf(payload);
      if (field === 'dport' && (protocol === probe.protocol || protocol === 'th'))
        return answer(holds(values, probe.port) ? 'yes' : 'no');
      if (protocol === 'tcp' || protocol === 'udp')
        return protocol === probe.protocol ? 'maybe' : 'no';
      if (String(protocol).startsWith('icmp') || protocol === 'ip6') return 'no';
      if (field === 'protocol') return answer(values.includes(probe.protocol) ? 'yes' : 'no');
      return 'maybe';
    }
    if (meta !== undefined) {
      const { key } = objectOf(meta);
      if (key === 'l4proto') return answer(values.includes(probe.protocol) ? 'yes' : 'no');
      if (key === 'nfproto') return answer(values.includes('ipv4') ? 'yes' : 'no');
      if (key === 'iifname' || key === 'iif')
        return values.every((value) => value === 'lo') ? answer('no') : 'maybe';
      return 'maybe';
    }
    if (ct !== undefined && objectOf(ct)['key'] === 'state')
      return answer(values.includes('new') ? 'yes' : 'no');
    return 'maybe';
  };

  const walked = walk(base, 0);
  const end = walked === 'return' ? (base.fields['policy'] === 'drop' ? 'drop' : 'accept') : walked;
  // A rule that may return has let the rest of its chain decide, which was looked at.
  if (end === 'drop') return maybe.has('accept') ? 'unsure' : 'closed';
  return maybe.has('drop') ? 'unsure' : 'open';
}

function both(a: Match, b: Match): Match {
  if (a === 'no' || b === 'no') return 'no';
  return a === 'maybe' || b === 'maybe' ? 'maybe' : 'yes';
}

/** The values that an expression names: one, several, a set, or a set by its name. */
function elementsOf(
  right: unknown,
  named: (name: string) => readonly unknown[],
): readonly unknown[] {
  if (typeof right === 'string' && right.startsWith('@')) return named(right);
  if (Array.isArray(right)) return right as readonly unknown[];
  const { set } = objectOf(right);
  if (set !== undefined) return Array.isArray(set) ? (set as readonly unknown[]) : [set];
  return [right];
}

function holds(values: readonly unknown[], port: number): boolean {
  return values.some((value) => {
    const [from, to] = listOf(objectOf(value)['range']);
    return value === port || (Number(from) <= port && port <= Number(to));
  });
}

function objectOf(value: unknown): Json {
  return typeof value === 'object' && value !== null ? (value as Json) : {};
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as readonly unknown[]) : [];
}
