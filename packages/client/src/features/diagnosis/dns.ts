import { isCanonicalIp } from '@lumamesh/base';

/** DNS over HTTPS with JSON answers; the second is asked when the first does not answer. */
const PROVIDERS = ['https://cloudflare-dns.com/dns-query', 'https://dns.google/resolve'];
const TIMEOUT_MS = 4000;
/** Answers are kept as long as they say, within these bounds. */
const MIN_TTL_S = 30;
const MAX_TTL_S = 600;
const TYPES = [1, 28];
/** Of a name that somebody else has chosen: each address is dialled. */
const MAX_ADDRESSES = 8;

const cache = new Map<string, { readonly addresses: readonly string[]; readonly until: number }>();

/**
 * The addresses of a name, IPv4 first; empty when no provider can be asked or knows it. Never
 * rejects.
 */
export async function resolveHost(
  host: string,
  unixSeconds: number,
  get: typeof fetch | undefined,
): Promise<readonly string[]> {
  const known = cache.get(host);
  if (get === undefined) return [];
  if (known !== undefined && known.until > unixSeconds) return known.addresses;
  for (const provider of PROVIDERS) {
    try {
      const answers = (
        await Promise.all(
          TYPES.map(async (type) =>
            ask(`${provider}?name=${encodeURIComponent(host)}&type=${type}`, type, get),
          ),
        )
      ).flat();
      const ttl = Math.min(...answers.map(({ ttl: seconds }) => seconds), MAX_TTL_S);
      const addresses = answers.slice(0, MAX_ADDRESSES).map(({ address }) => address);
      if (addresses.length > 0)
        cache.set(host, { addresses, until: unixSeconds + Math.max(ttl, MIN_TTL_S) });
      if (addresses.length > 0) return addresses;
    } catch {
      // Blocked by the page's policy, or down: the next one may do.
    }
  }
  return [];
}

async function ask(
  url: string,
  type: number,
  get: typeof fetch,
): Promise<{ readonly address: string; readonly ttl: number }[]> {
  const response = await get(url, {
    headers: { accept: 'application/dns-json' },
    signal: AbortSignal.timeout(TIMEOUT_MS),
    credentials: 'omit',
  });
  const { Answer: answers } = (await response.json()) as {
    Answer?: { type?: unknown; data?: unknown; TTL?: unknown }[];
  };
  return (answers ?? []).flatMap(({ type: kind, data, TTL }) =>
    kind === type && typeof data === 'string' && isCanonicalIp(data)
      ? [{ address: data, ttl: Number(TTL) || 0 }]
      : [],
  );
}
