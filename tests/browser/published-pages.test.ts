import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { BrowserName } from '@lumamesh/testkit/browsers';
import { type PackedSite, type SiteOptions, servePackedSite } from './packed-site.ts';
import { type TestRelay, startRelay, whySkipped } from './support.ts';
import { Tab } from './tab.ts';

/*
 * Pages that have the published files as they are, from a web server and with no bundler between:
 * that they meet, and what they are told where they cannot.
 */

const skip = whySkipped() ?? false;

interface World {
  readonly site: PackedSite;
  readonly relay: TestRelay;
  /** A tab in each browser. */
  readonly tabs: readonly [Tab, Tab];
}

/** Runs a test on a page in both browsers; nothing may go unhandled in it. */
async function withSite(
  options: SiteOptions,
  test: (world: World) => Promise<void>,
): Promise<void> {
  const ends: (() => Promise<unknown>)[] = [];
  try {
    const relay = await startRelay();
    ends.unshift(() => relay.close());
    const site = await servePackedSite(options);
    ends.unshift(() => site.close());
    const open = async (name: BrowserName): Promise<Tab> => {
      const tab = await Tab.open(name, site.url);
      ends.unshift(() => tab.close());
      return tab;
    };
    const tabs = [await open('chromium'), await open('firefox')] as const;
    await test({ site, relay, tabs });
    for (const tab of tabs)
      assert.deepEqual(await tab.page.evaluate('globalThis.unhandled'), [], tab.name);
  } finally {
    for (const end of ends) await end().catch(() => undefined);
  }
}

/** Both tabs are in one room, and one hears the other. */
async function meet([ada, bob]: readonly [Tab, Tab], { record }: TestRelay): Promise<void> {
  await ada.call('join', { relays: [record] }, 'tea', { nick: 'Ada' });
  await bob.call('join', { relays: [record] }, 'tea', { nick: 'Bob' });
  await Promise.all([ada.waitFor('open', 'Bob'), bob.waitFor('open', 'Ada')]);
  await ada.call('send', 'Bob', { hello: 'there' });
  await bob.waitFor('data', { hello: 'there' });
}

async function isToldOf(
  tabs: readonly Tab[],
  relays: readonly unknown[],
  code: string,
): Promise<void> {
  await Promise.all(
    tabs.map(async (tab) => {
      await tab.call('join', { relays }, 'tea');
      await tab.waitFor('error', code, 60_000);
    }),
  );
}

/** Relays that nobody runs, in two networks that lead nowhere (RFC 5737). */
const DEAD = ['203.0.113.5', '198.51.100.5'].map((ip) => ({
  fingerprint: `AA${':AA'.repeat(31)}`,
  ip,
  port: 3478,
  ufrag: 'luma',
  pwd: 'x'.repeat(22),
  nk: Buffer.alloc(32, ip).toString('base64url'),
}));

/** A browser of before Ed25519 came to WebCrypto (Chrome 137, Firefox 129). */
const NO_ED25519 = `for (const name of ['importKey', 'generateKey', 'verify', 'sign']) {
  const original = SubtleCrypto.prototype[name];
  SubtleCrypto.prototype[name] = async function (...values) {
    if (values.some((value) => value === 'Ed25519' || value?.name === 'Ed25519'))
      throw new DOMException('Unrecognized name.', 'NotSupportedError');
    return original.apply(this, values);
  };
}`;
const NO_WEBRTC = `for (const name of Object.getOwnPropertyNames(globalThis))
  if (/^(webkit|moz)?RTC/.test(name)) delete globalThis[name];`;
/** What privacy settings and sandboxes do: to look at what is stored throws, nothing is reached. */
const NOTHING_ELSE = `for (const name of ['localStorage', 'sessionStorage', 'indexedDB'])
  Object.defineProperty(globalThis, name, { get() { throw new DOMException('denied', 'SecurityError'); } });
for (const name of ['fetch', 'WebSocket', 'EventSource', 'XMLHttpRequest', 'BroadcastChannel'])
  globalThis[name] = function () { throw new TypeError(name + ' is blocked'); };`;

describe('pages with the published files as they are', { skip }, () => {
  for (const by of ['import map', 'classic script', 'paste'] as const)
    it(`meet: ${by}`, () =>
      withSite({ by }, async ({ tabs, relay, site }) => {
        await meet(tabs, relay);
        // What is fetched when something is missing is not fetched when nothing is.
        const expected = { 'import map': 'lumamesh.js', 'classic script': 'lumamesh.global.js' };
        assert.deepEqual([...site.served], by === 'paste' ? [] : [expected[by]]);
      }));

  for (const by of ['import map', 'classic script'] as const) {
    it(`are told of relays in two networks that are dead: UDP_BLOCKED (${by})`, () =>
      withSite({ by }, async ({ tabs, site }) => {
        await isToldOf(tabs, DEAD, 'UDP_BLOCKED');
        assert.equal(site.served.has('lumamesh-network.js'), by === 'import map');
      }));

    it(`verify relays by a file apart where WebCrypto has no Ed25519 (${by})`, () =>
      withSite({ by, before: NO_ED25519 }, async ({ tabs, relay, site }) => {
        const forged = { ...relay.record, port: relay.record.port === 4000 ? 4001 : 4000 };
        await isToldOf(tabs, [forged], 'RELAY_FORGED');
        assert.equal(site.served.has('lumamesh-ed25519.js'), by === 'import map');
        for (const tab of tabs) await tab.call('close');
        await meet(tabs, relay);
      }));
  }

  it('are told RELAYS_UNREACHABLE, where a policy keeps them from the file that would know more', () =>
    withSite(
      { policy: (origin) => `script-src 'unsafe-inline' ${origin}/lumamesh/lumamesh.js` },
      async ({ tabs, site }) => {
        await isToldOf(tabs, DEAD, 'RELAYS_UNREACHABLE');
        assert.deepEqual([...site.served], ['lumamesh.js']);
      },
    ));

  it('meet where a policy forbids the file apart, and WebCrypto has no Ed25519', () =>
    withSite(
      {
        before: NO_ED25519,
        policy: (origin) => `script-src 'unsafe-inline' ${origin}/lumamesh/lumamesh.js`,
      },
      async ({ tabs, relay }) => meet(tabs, relay),
    ));

  it('are told WEBRTC_MISSING where there is none', () =>
    withSite({ before: NO_WEBRTC }, async ({ tabs, relay }) =>
      isToldOf(tabs, [relay.record], 'WEBRTC_MISSING'),
    ));

  it('meet where nothing may be stored, and nothing else be reached', () =>
    withSite(
      {
        before: NOTHING_ELSE,
        policy: (origin) => `default-src 'none'; script-src 'unsafe-inline' ${origin}`,
      },
      async ({ tabs, relay }) => meet(tabs, relay),
    ));
});
