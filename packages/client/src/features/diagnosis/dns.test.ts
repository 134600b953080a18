import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { resolveHost } from './dns.ts';

/*
 * DNS over HTTPS needs the world outside, so `fetch` is played here: the JSON is what both
 * providers answer (their documented API).
 */

interface Asked {
  readonly url: string;
  readonly accept: string | null;
}

function provider(answer: (url: URL) => unknown): {
  readonly get: typeof fetch;
  readonly asked: Asked[];
} {
  const asked: Asked[] = [];
  // Only texts are asked for.
  const get = async (input: unknown, init?: RequestInit): Promise<Response> => {
    const url = new URL(input as string);
    asked.push({ url: url.href, accept: new Headers(init?.headers).get('accept') });
    return Response.json(answer(url));
  };
  return { get, asked };
}

const records = (url: URL, ttl: number): unknown =>
  url.searchParams.get('type') === '1'
    ? {
        Status: 0,
        Answer: [
          { name: 'x', type: 5, TTL: 9, data: 'alias.example.' },
          { name: 'x', type: 1, TTL: ttl, data: '203.0.113.9' },
        ],
      }
    : { Status: 0, Answer: [{ name: 'x', type: 28, TTL: ttl, data: '2001:db8::9' }] };

describe('names of relays', () => {
  it('are resolved over HTTPS to both kinds of addresses, aliases passed over', async () => {
    const { get, asked } = provider((url) => records(url, 60));
    assert.deepEqual(await resolveHost('relay1.example.org', 1000, get), [
      '203.0.113.9',
      '2001:db8::9',
    ]);
    assert.ok(
      asked.every(
        ({ url, accept }) =>
          url.startsWith('https://') &&
          url.includes('name=relay1.example.org') &&
          accept === 'application/dns-json',
      ),
    );
    assert.equal(asked.length, 2);
  });

  it('are remembered as long as the answer says, within bounds', async () => {
    const { get, asked } = provider((url) => records(url, 1));
    await resolveHost('relay2.example.org', 1000, get);
    await resolveHost('relay2.example.org', 1029, get);
    assert.equal(asked.length, 2, 'half a minute at least');
    await resolveHost('relay2.example.org', 1031, get);
    assert.equal(asked.length, 4);
  });

  it('are asked of the second provider when the first fails, says nothing, or says rubbish', async () => {
    for (const [i, bad] of [
      null,
      {},
      { Answer: [] },
      {
        Answer: [
          { type: 1, data: 'not an address' },
          { type: 1, data: 7 },
        ],
      },
    ].entries()) {
      const { get, asked } = provider((url) =>
        url.host.includes('cloudflare') ? bad : records(url, 60),
      );
      assert.deepEqual(
        await resolveHost(`relay3-${i}.example.org`, 1000, get),
        ['203.0.113.9', '2001:db8::9'],
        String(i),
      );
      assert.equal(new Set(asked.map(({ url }) => new URL(url).host)).size, 2);
    }
  });

  it('that nobody knows have no addresses, and nothing is thrown', async () => {
    const failing = async (): Promise<Response> =>
      Promise.reject(new TypeError('blocked by the page\u2019s policy'));
    assert.deepEqual(await resolveHost('relay4.example.org', 1000, failing), []);
  });
});
