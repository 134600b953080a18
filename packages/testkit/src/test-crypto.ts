import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type SyncCrypto, fromHex } from '@lumamesh/base';
import type { LocalCertificate } from '@lumamesh/transport';
import { chooseIoPath, signingKey } from '@lumamesh/transport/io';
import { seededBytes } from './seeded-random.ts';

/**
 * What a relay would run on here: native code where it can be had, and Node's own with
 * `NATIVE_IO=off`. The same tests pass on both.
 */
export const testIo = chooseIoPath(process.env['NATIVE_IO'] === 'off' ? 'off' : 'auto');

const FIXTURES = new URL('../../../fixtures/', import.meta.url);

/** Reads a file of `fixtures/` as JSON. */
export function readFixture(name: string): unknown {
  return JSON.parse(readFileSync(new URL(name, FIXTURES), 'utf8')) as unknown;
}

interface CertificateFixture {
  readonly certificateDerHex: string;
  readonly privateKeyPem: string;
}

const certificates = readFixture('test-certificates.json') as {
  server: CertificateFixture;
  client: CertificateFixture;
};

function load(fixture: CertificateFixture): LocalCertificate {
  return {
    der: fromHex(fixture.certificateDerHex) ?? new Uint8Array(0),
    privateKey: signingKey(createPrivateKey(fixture.privateKeyPem)),
  };
}

export const serverCertificate = load(certificates.server);
export const clientCertificate = load(certificates.client);
export const serverFingerprint = testIo.crypto.hash('sha256', serverCertificate.der);

/** The real primitives with repeatable randomness (key shares stay random: OpenSSL makes them). */
export function testCrypto(seed: number): SyncCrypto {
  return { ...testIo.crypto, randomBytes: seededBytes(seed) };
}

/** Times of real datagrams, as recorded from browsers. */
export interface BrowserFlights {
  readonly stunBindingRequests: readonly string[];
  readonly clientHelloDatagrams: readonly string[];
}

export function browserFlights(): Readonly<Record<string, BrowserFlights>> {
  return Object.fromEntries(
    Object.entries(
      readFixture('browser-first-flights.json') as Record<string, BrowserFlights>,
    ).filter(([, value]) => Array.isArray(value.clientHelloDatagrams)),
  );
}
