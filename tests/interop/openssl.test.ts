import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { toHex } from '@lumamesh/base';
import {
  TEST_ICE,
  clientCertificate,
  readFixture,
  serverCertificate,
  until,
  testIo,
} from '@lumamesh/testkit';
import { DEFAULT_SESSION_LIMITS, type SessionEvent } from '@lumamesh/transport';
import { UdpEndpoint, monotonicNow } from '@lumamesh/transport/io';
import { DtlsConnection } from '@lumamesh/transport/internal/dtls/dtls-connection';
import { DtlsOverUdp } from './dtls-over-udp.ts';

/* The DTLS of another house: OpenSSL's s_client and s_server. */
const skip =
  spawnSync('openssl', ['version']).status === 0
    ? false
    : 'openssl is not installed (Debian: apt-get install openssl)';

function withPems(
  test: (paths: { readonly certificate: string; readonly key: string }) => Promise<void>,
  which: 'server' | 'client',
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'lumamesh-openssl-'));
  const { certificateDerHex, privateKeyPem } = (
    readFixture('test-certificates.json') as Record<
      string,
      { certificateDerHex: string; privateKeyPem: string }
    >
  )[which] ?? {
    certificateDerHex: '',
    privateKeyPem: '',
  };
  const base64 =
    Buffer.from(certificateDerHex, 'hex')
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  const paths = { certificate: join(folder, 'c.pem'), key: join(folder, 'k.pem') };
  writeFileSync(
    paths.certificate,
    `-----BEGIN CERTIFICATE-----\n${base64.join('\n')}\n-----END CERTIFICATE-----\n`,
  );
  writeFileSync(paths.key, privateKeyPem);
  return test(paths).finally(() => rmSync(folder, { recursive: true }));
}

function collect(child: ChildProcess): { text: string } {
  const output = { text: '' };
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (data: Buffer) => (output.text += data.toString()));
  return output;
}

/** Our server, which OpenSSL reaches by a cookie: it sends no connectivity checks. */
async function startServer(
  requestClientCertificate: boolean,
): Promise<{ readonly udp: UdpEndpoint; readonly events: SessionEvent[] }> {
  const events: SessionEvent[] = [];
  const udp = await UdpEndpoint.start({
    native: testIo.udp,
    crypto: testIo.crypto,
    port: 0,
    address: '127.0.0.1',
    ice: TEST_ICE,
    certificate: serverCertificate,
    requestClientCertificate,
    negotiatedChannels: [],
    limits: { maxSessions: 10, cookieThreshold: 10, maxHalfOpen: 10 },
    sessionLimits: DEFAULT_SESSION_LIMITS,
    onEvent: (_, event) => events.push(event),
  });
  return { udp, events };
}

describe('OpenSSL as the client of our server', { skip }, () => {
  const cases: [string, string[], RegExp][] = [
    [
      'AES-128-GCM over X25519',
      ['-cipher', 'ECDHE-ECDSA-AES128-GCM-SHA256', '-curves', 'X25519:P-256'],
      /ECDHE-ECDSA-AES128-GCM-SHA256/,
    ],
    [
      'AES-256-GCM over P-256',
      ['-cipher', 'ECDHE-ECDSA-AES256-GCM-SHA384', '-curves', 'P-256'],
      /ECDHE-ECDSA-AES256-GCM-SHA384/,
    ],
    [
      'ChaCha20-Poly1305',
      ['-cipher', 'ECDHE-ECDSA-CHACHA20-POLY1305'],
      /ECDHE-ECDSA-CHACHA20-POLY1305/,
    ],
    ['a small MTU', ['-mtu', '400'], /Extended master secret: yes/],
  ];
  for (const [name, flags, pattern] of cases) {
    it(name, async () => {
      const { udp, events } = await startServer(false);
      const client = spawn('openssl', [
        's_client',
        '-dtls1_2',
        '-connect',
        `127.0.0.1:${udp.socket.port}`,
        ...flags,
      ]);
      const output = collect(client);
      try {
        await until(
          () => events.some(({ type }) => type === 'secure'),
          () => `${output.text} ${JSON.stringify(udp.endpoint.drops.snapshot())}`,
        );
        await until(
          () => pattern.test(output.text),
          () => output.text,
        );
      } finally {
        client.kill();
        await udp.close();
      }
    });
  }

  const refused: [string, string[], string][] = [
    ['P-384 only', ['-dtls1_2', '-curves', 'P-384'], 'noCommonGroup'],
    [
      'RSA suites only',
      ['-dtls1_2', '-cipher', 'ECDHE-RSA-AES128-GCM-SHA256'],
      'noCommonCipherSuite',
    ],
    ['DTLS 1.0 only', ['-dtls1', '-cipher', 'ALL@SECLEVEL=0'], 'noCommonVersion'],
  ];
  for (const [name, flags, reason] of refused) {
    it(`${name}: an alert at once, counted`, async () => {
      const { udp } = await startServer(false);
      const address = `127.0.0.1:${udp.socket.port}`;
      const client = spawn('openssl', ['s_client', '-connect', address, ...flags]);
      const output = collect(client);
      try {
        const hasEnded = new Promise((resolve) => client.once('exit', resolve));
        await hasEnded;
        assert.match(output.text, /alert/);
        assert.ok(udp.endpoint.drops.get(`dtls.refused.${reason}`) > 0, output.text);
      } finally {
        client.kill();
        await udp.close();
      }
    });
  }

  it('takes use_srtp, and a renegotiation gets a word', async () => {
    const { udp, events } = await startServer(false);
    const address = `127.0.0.1:${udp.socket.port}`;
    const profiles = 'SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_128_GCM';
    const flags = ['-dtls1_2', '-use_srtp', profiles, '-connect', address];
    const client = spawn('openssl', ['s_client', ...flags]);
    const output = collect(client);
    try {
      await until(
        () => events.some(({ type }) => type === 'secure') && output.text.includes('SRTP'),
        () => output.text,
      );
      assert.match(output.text, /SRTP Extension negotiated, profile=SRTP_AEAD_AES_128_GCM/);
      client.stdin.write('R\n');
      await until(
        () => udp.endpoint.drops.get('dtls.handshake.renegotiation') > 0,
        () => `${output.text} ${JSON.stringify(udp.endpoint.drops.snapshot())}`,
      );
    } finally {
      client.kill();
      await udp.close();
    }
  });

  it('with a certificate of its own, which is verified', () =>
    withPems(async ({ certificate, key }) => {
      const { udp, events } = await startServer(true);
      const client = spawn('openssl', [
        's_client',
        '-dtls1_2',
        '-connect',
        `127.0.0.1:${udp.socket.port}`,
        '-cert',
        certificate,
        '-key',
        key,
      ]);
      const output = collect(client);
      try {
        await until(
          () => events.some(({ type }) => type === 'secure'),
          () => `${output.text} ${JSON.stringify(events)}`,
        );
        const secure = events.find((event) => event.type === 'secure');
        assert.equal(
          toHex(secure?.remoteCertificate ?? new Uint8Array(0)),
          toHex(clientCertificate.der),
        );
      } finally {
        client.kill();
        await udp.close();
      }
    }, 'client'));
});

describe('OpenSSL as the server of our client', { skip }, () => {
  for (const [name, flags] of [
    ['with a cookie', ['-listen']],
    ['without a cookie, asking for a certificate', ['-verify', '1']],
  ] as const) {
    it(name, () =>
      withPems(async ({ certificate, key }) => {
        const port = 41_000 + Math.floor(Math.random() * 10_000);
        const server = spawn('openssl', [
          's_server',
          '-dtls1_2',
          '-accept',
          `${port}`,
          '-cert',
          certificate,
          '-key',
          key,
          ...flags,
        ]);
        const output = collect(server);
        let peer: DtlsOverUdp | null = null;
        try {
          await until(
            () => output.text.includes('ACCEPT'),
            () => output.text,
          );
          const options = {
            crypto: testIo.crypto,
            remoteFingerprint: testIo.crypto.hash('sha256', serverCertificate.der),
            certificate: clientCertificate,
            maxDatagramBytes: 1200,
          };
          peer = await DtlsOverUdp.open(DtlsConnection.client(monotonicNow(), options), port);
          const ours = peer;
          await until(
            () => ours.negotiated !== null,
            () => output.text,
          );
          ours.send('hello from lumamesh\n');
          await until(
            () => output.text.includes('hello from lumamesh'),
            () => output.text,
          );
          server.stdin?.write('hello from openssl\n');
          await until(
            () => ours.received.includes('hello from openssl'),
            () => ours.received,
          );
        } finally {
          peer?.close();
          server.kill();
        }
      }, 'server'),
    );
  }
});
