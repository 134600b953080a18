import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { encodeRecordLine } from '@lumamesh/protocol';
import { type BrowserName, type StrictPage, findTestAddress } from '@lumamesh/testkit/browsers';
import { BROWSERS, serveHarness, startRelay, whySkipped } from '../support.ts';
import { Tab } from '../tab.ts';

/*
 * Each code that docs/errors.md has for pages, provoked in both browsers with the files that are
 * published. What it takes is in page/errors.ts; a browser, or a relay, of its own kind is here.
 */

const skip = whySkipped() ?? false;
const ROOT = join(import.meta.dirname, '../../..');
const PATIENCE_MS = 40_000;

/** Codes that a page cannot be brought to see here, and why. */
export const IMPOSSIBLE: Readonly<Record<string, Partial<Record<BrowserName, string>>>> = {
  // Firefox is told in tests/nat/nat.test.ts.
  NEEDS_TURN: { firefox: 'takes two networks with no path between them' },
  LOCAL_NETWORK_DENIED: { firefox: 'has no permission of that name that a test can deny' },
  ...Object.fromEntries(
    (
      [
        [
          'RELAY_LIST_UNVERIFIED',
          'takes a browser without Ed25519, in a page that may not load the file for it',
        ],
        ['PEER_ID_IN_USE', 'takes three sessions as one peer, which the client never has at once'],
        ['ROOM_NOT_SHARED', 'takes a mesh whose homes have no place left'],
        [
          'RATE_LIMITED',
          'takes a client that is faster than a relay allows, which this one is not',
        ],
      ] as const
    ).map(([code, why]) => [code, { chromium: why, firefox: why }]),
  ),
};

/** Arguments and preferences of the browser. */
const BROWSER_OPTIONS: Readonly<
  Record<
    string,
    Partial<Record<BrowserName, readonly [readonly string[], Record<string, unknown>?]>>
  >
> = {
  WEBRTC_BLOCKED_BY_POLICY: {
    chromium: [['--webrtc-ip-handling-policy=disable_non_proxied_udp']],
    firefox: [[], { 'media.peerconnection.ice.relay_only': true }],
  },
};

/** Settings of the relay. */
const RELAY_OPTIONS: Readonly<Record<string, Record<string, string>>> = {
  RELAY_FULL: { MAX_SESSIONS: '1' },
  ROOM_FULL: { MAX_ROOM_SIZE: '2' },
  RELAY_PRIVATE: { ACCESS_TOKENS: 'token-of-visitor-a' },
  ACCESS_DENIED: { ACCESS_TOKENS: 'token-of-visitor-a,token-of-visitor-b' },
};

/** What becomes of the relay while the page is there. */
const FATES: Readonly<Record<string, 'alerts' | 'silent' | 'closes'>> = {
  RELAY_HANDSHAKE_FAILED: 'alerts',
  RELAY_LOST: 'silent',
  RELAY_CLOSING: 'closes',
};

/** A fatal alert, handshake_failure, in a DTLS 1.2 record (RFC 6347 §4.1). */
const ALERT = Buffer.from('15fefd00000000000000000002'.padEnd(26, '0') + '0228', 'hex');

/** Stands before a relay: passes all on, answers DTLS by an alert, or falls silent. */
async function proxy(
  ip: string,
  port: number,
  fate: 'alerts' | 'silent',
): Promise<{ readonly port: number; silence(): void; close(): void }> {
  const front = createSocket('udp4');
  const backs = new Map<number, ReturnType<typeof createSocket>>();
  let isSilent = false;
  front.on('message', (data, remote) => {
    if (isSilent) return;
    const isDtls = (data[0] ?? 0) >= 20 && (data[0] ?? 0) < 64;
    if (fate === 'alerts' && isDtls) return front.send(ALERT, remote.port, remote.address);
    let back = backs.get(remote.port);
    if (back === undefined) {
      back = createSocket('udp4');
      back.on('message', (answer) => {
        if (!isSilent) front.send(answer, remote.port, remote.address);
      });
      backs.set(remote.port, back);
    }
    back.send(data, port, ip);
  });
  await new Promise<void>((resolve) => void front.bind(0, ip, resolve));
  return {
    port: front.address().port,
    silence: () => (isSilent = true),
    close: () => {
      for (const socket of [front, ...backs.values()]) socket.close();
    },
  };
}

function documentedCodes(): readonly string[] {
  const text = readFileSync(join(ROOT, 'docs/errors.md'), 'utf8');
  const section = text.split(/^(?=## )/m).find((part) => part.startsWith('## In a page')) ?? '';
  const cells = section.split('\n').flatMap((line) => /^\|([^|]*)\|/.exec(line)?.[1] ?? []);
  return cells.flatMap((cell) =>
    [...cell.matchAll(/`([A-Z\d_]+)`/g)].map(([, code]) => code ?? ''),
  );
}

describe('what pages are told when something is wrong', { skip, timeout: 900_000 }, () => {
  let page: StrictPage;
  /** The same by plain http from an address of the network, as somebody tries it on a phone. */
  let insecure: StrictPage;
  before(async () => {
    const policy = "default-src 'self'; script-src 'unsafe-inline'";
    page = await serveHarness('errors.ts', policy);
    insecure = await serveHarness('errors.ts', policy, findTestAddress() ?? undefined);
  });
  after(async () => {
    await page?.close();
    await insecure?.close();
  });

  async function provoke(name: BrowserName, code: string): Promise<string> {
    const relay = await startRelay(RELAY_OPTIONS[code]);
    const fate = FATES[code];
    const { record } = relay;
    const front =
      fate === 'alerts' || fate === 'silent' ? await proxy(record.ip, record.port, fate) : null;
    const { signature: _signature, ...unsigned } = record;
    const seen = front === null ? record : { ...unsigned, port: front.port };
    const [more, preferences] = BROWSER_OPTIONS[code]?.[name] ?? [];
    const { url } = code === 'INSECURE_ORIGIN' ? insecure : page;
    const tab = await Tab.open(name, url, undefined, more, preferences);
    try {
      if (code === 'LOCAL_NETWORK_DENIED') {
        const session = await tab.page.createCDPSession();
        const permission = { name: 'local-network-access' };
        await session.send('Browser.setPermission', {
          permission,
          setting: 'denied',
          origin: new URL(page.url).origin,
          browserContextId: tab.page.browserContext().id ?? '',
        });
      }
      const line = encodeRecordLine(record);
      const answer = tab.call<string>('provoke', code, { record: seen, line });
      answer.catch(() => undefined);
      if (fate === 'silent' || fate === 'closes') {
        await new Promise((resolve) => void setTimeout(resolve, 2000));
        front?.silence();
        if (fate === 'closes') await relay.server.moveSessionsOn(3000);
      }
      const late = new Promise<string>((resolve) =>
        setTimeout(resolve, PATIENCE_MS, 'nothing').unref(),
      );
      return await Promise.race([answer, late]);
    } finally {
      await tab.close();
      front?.close();
      await relay.close();
    }
  }

  for (const code of documentedCodes())
    for (const name of BROWSERS) {
      if (IMPOSSIBLE[code]?.[name] === undefined)
        it(`${code} in ${name}`, async () => assert.equal(await provoke(name, code), code));
    }

  it('has a reason for each code that a page cannot be brought to see, and for no other', () => {
    const documented = documentedCodes();
    for (const [code, reasons] of Object.entries(IMPOSSIBLE)) {
      assert.ok(documented.includes(code), code);
      for (const why of Object.values(reasons)) assert.match(why, /\w+ \w+/, code);
    }
  });
});
