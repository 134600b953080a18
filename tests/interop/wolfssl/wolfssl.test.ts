import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { clientCertificate, serverCertificate, testIo, until } from '@lumamesh/testkit';
import { monotonicNow } from '@lumamesh/transport/io';
import { DtlsConnection } from '@lumamesh/transport/internal/dtls/dtls-connection';
import { DtlsOverUdp } from '../dtls-over-udp.ts';

/* DTLS 1.3 of another house, both ways; run.ts builds it. */
const root = process.env['WOLFSSL_ROOT'];
const skip = root === undefined ? '`npm run interop:wolfssl` runs it' : false;
const DTLS_1_3 = ['-u', '-v', '4'];
const ECC_CLIENT = ['-c', './certs/client-ecc-cert.pem', '-k', './certs/ecc-client-key.pem'];
const ECC_SERVER = ['-c', './certs/server-ecc.pem', '-k', './certs/ecc-key.pem'];

const start = (
  program: 'client' | 'server',
  args: readonly string[],
): [ChildProcess, () => string] => {
  const child = spawn(`./examples/${program}/${program}`, [...DTLS_1_3, ...args], {
    cwd: root ?? '',
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (data: Buffer) => (output += data.toString()));
  return [child, () => output];
};
const certificate = (name: string): Buffer =>
  new X509Certificate(readFileSync(join(root ?? '', 'certs', name))).raw;

describe('wolfSSL as the client of our DTLS 1.3', { skip }, () => {
  const cases: readonly (readonly [string, readonly string[], string, string])[] = [
    ['X25519', ['-t'], 'TLS_AES_128_GCM_SHA256', 'x25519'],
    ['P-256', ['-Y'], 'TLS_AES_128_GCM_SHA256', 'secp256r1'],
    ['AES-256-GCM', ['-t', '-l', 'TLS13-AES256-GCM-SHA384'], 'TLS_AES_256_GCM_SHA384', 'x25519'],
    [
      'ChaCha20-Poly1305',
      ['-t', '-l', 'TLS13-CHACHA20-POLY1305-SHA256'],
      'TLS_CHACHA20_POLY1305_SHA256',
      'x25519',
    ],
    [
      'no key share at all, so that it is asked for one',
      ['-J'],
      'TLS_AES_128_GCM_SHA256',
      'x25519',
    ],
    ['a KeyUpdate before what it says', ['-t', '-I'], 'TLS_AES_128_GCM_SHA256', 'x25519'],
    [
      'a certificate that it is asked for',
      ['-t', ...ECC_CLIENT],
      'TLS_AES_128_GCM_SHA256',
      'x25519',
    ],
    ['DTLS 1.2 as well', ['-t', '-7', '3'], 'TLS_AES_128_GCM_SHA256', 'x25519'],
  ];
  for (const [name, flags, cipherSuite, group] of cases)
    it(`with ${name}`, async () => {
      const asksForCertificate = flags.includes('-c');
      const connection = DtlsConnection.server({
        crypto: testIo.crypto,
        certificate: serverCertificate,
        requestClientCertificate: asksForCertificate,
        maxDatagramBytes: 1200,
      });
      // It sends no connectivity checks.
      connection.markAddressProven(0);
      const ours = await DtlsOverUdp.open(connection, null);
      const [client, output] = start('client', ['-p', `${ours.port}`, '-d', ...flags]);
      try {
        const seen = (): string => `${output()} ${ours.drops.join()} ${ours.ended ?? ''}`;
        await until(() => ours.received.includes('hello wolfssl!'), seen);
        assert.deepEqual(ours.negotiated, { version: '1.3', cipherSuite, group });
        if (asksForCertificate)
          assert.deepEqual(
            Buffer.from(ours.remoteCertificate ?? []),
            certificate('client-ecc-cert.pem'),
          );
        ours.send('hello from lumamesh');
        await until(() => output().includes('hello from lumamesh'), seen);
        await until(() => ours.ended === 'closeNotify: ', seen);
      } finally {
        client.kill();
        ours.close();
      }
    });
});

describe('wolfSSL as the server of our DTLS 1.3', { skip }, () => {
  const cases: readonly (readonly [string, readonly string[], string])[] = [
    ['a cookie, by a HelloRetryRequest', [], 'TLS_AES_128_GCM_SHA256'],
    ['AES-256-GCM', ['-l', 'TLS13-AES256-GCM-SHA384'], 'TLS_AES_256_GCM_SHA384'],
    ['ChaCha20-Poly1305', ['-l', 'TLS13-CHACHA20-POLY1305-SHA256'], 'TLS_CHACHA20_POLY1305_SHA256'],
    ['a KeyUpdate', ['-U'], 'TLS_AES_128_GCM_SHA256'],
  ];
  for (const [name, flags, cipherSuite] of cases)
    it(`with ${name}`, async () => {
      const port = 41_000 + Math.floor(Math.random() * 9000);
      const [server, output] = start('server', ['-p', `${port}`, '-d', ...ECC_SERVER, ...flags]);
      let ours: DtlsOverUdp | null = null;
      try {
        const connection = DtlsConnection.client(monotonicNow(), {
          crypto: testIo.crypto,
          remoteFingerprint: testIo.crypto.hash('sha256', certificate('server-ecc.pem')),
          certificate: clientCertificate,
          // With ML-KEM the ClientHello is two datagrams, which wolfSSL 5.5.4 cannot take.
          groups: ['x25519'],
          maxDatagramBytes: 1200,
        });
        const peer = await DtlsOverUdp.open(connection, port);
        ours = peer;
        const seen = (): string => `${output()} ${peer.drops.join()} ${peer.ended ?? ''}`;
        await until(() => peer.negotiated !== null, seen);
        assert.deepEqual(peer.negotiated, { version: '1.3', cipherSuite, group: 'x25519' });
        peer.send('hello from lumamesh');
        // Its answer to what it has read.
        await until(() => peer.received.includes('I hear you'), seen);
      } finally {
        server.kill();
        ours?.close();
      }
    });
});
