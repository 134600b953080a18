import * as v from 'valibot';
import { isWildcard, printable } from '@lumamesh/base';
import type { HealthStats } from '../relay-stats.ts';

const TIMEOUT_MS = 3000;
/** A relay's answer has some kilobytes. Whoever else listens there is not believed. */
const MAX_BYTES = 1024 * 1024;

const counts = v.record(v.string(), v.number());
/** What programs of ours read of `/statsz`; newer relays may say more. */
const STATS = v.looseObject({
  version: v.string(),
  commit: v.string(),
  nodeId: v.string(),
  health: v.array(v.string()),
  uptimeSeconds: v.number(),
  joins: v.number(),
  signals: v.number(),
  errors: v.number(),
  sessions: counts,
  rooms: counts,
  outside: v.looseObject({
    verdict: v.picklist(['unknown', 'reached', 'unreached']),
    by: v.nullable(v.string()),
    ageSeconds: v.nullable(v.number()),
    elsewhere: v.nullable(v.string()),
    helpers: v.number(),
  }),
  record: v.looseObject({
    expires: v.number(),
    published: v.nullable(v.number()),
    nickname: v.optional(v.string()),
    contact: v.optional(v.string()),
  }),
  access: v.optional(counts),
  traffic: counts,
  drops: counts,
  memory: counts,
  eventLoop: counts,
  turn: v.optional(counts),
  tcp: v.optional(counts),
  mesh: v.optional(
    v.looseObject({
      links: counts,
      records: v.looseObject({ alive: v.number(), suspect: v.number() }),
      homes: counts,
      signals: counts,
      drops: counts,
      bans: v.number(),
      identityConflicts: v.number(),
    }),
  ),
});

/**
 * Reads `/statsz` of a relay on this machine; its texts may be shown. Rejects when no relay
 * answers.
 */
export async function fetchStats({
  host,
  port,
}: {
  readonly host: string;
  readonly port: number;
}): Promise<HealthStats> {
  // What listens on all addresses is asked on loopback.
  const address = host === '' || isWildcard(host) ? '127.0.0.1' : host;
  const url = `http://${address.includes(':') ? `[${address}]` : address}:${port}/statsz`;
  const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  const stats = v.safeParse(
    STATS,
    JSON.parse(await readText(response), (_name, value: unknown) => shown(value)),
  );
  if (!stats.success) throw new Error(`what answers at ${url} is no relay`);
  return stats.output as unknown as HealthStats;
}

async function readText(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let [text, bytes] = ['', 0];
  for await (const data of response.body ?? []) {
    bytes += data.length;
    if (bytes > MAX_BYTES) throw new Error('the answer has no end');
    text += decoder.decode(data, { stream: true });
  }
  return text;
}

/** For a reviver: texts, and names of fields, that no terminal obeys. */
function shown(value: unknown): unknown {
  if (typeof value === 'string') return printable(value);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [printable(name), one as unknown]),
  );
}
