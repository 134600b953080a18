import assert from 'node:assert/strict';
import { X509Certificate, generateKeyPairSync } from 'node:crypto';
import { describe, it } from 'node:test';
import { LumameshError } from '@lumamesh/base';
import { makeCertificate } from './certificate.ts';

/** 268 with a signature of 70 bytes; that one longer in sixteen is the shortest happens. */
const MAX_BYTES = 270;

describe('the certificate of a new identity', () => {
  it('is signed by its own key, for ever, and small', () => {
    for (let i = 0; i < 20; i++) {
      const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const certificate = new X509Certificate(makeCertificate(privateKey));
      assert.ok(certificate.verify(publicKey));
      assert.ok(certificate.checkPrivateKey(privateKey));
      assert.ok(certificate.checkIssued(certificate));
      assert.equal(certificate.subject, 'CN=r');
      assert.equal(certificate.issuer, 'CN=r');
      assert.match(certificate.validFrom, /2020 GMT$/);
      assert.match(certificate.validTo, /^Dec 31 23:59:59 9999 GMT$/);
      assert.ok(certificate.raw.length <= MAX_BYTES, `${certificate.raw.length} bytes`);
      // Byte for byte what a strict DER parser writes again.
      assert.deepEqual(new X509Certificate(certificate.toString()).raw, certificate.raw);
    }
  });

  it('has a serial number of its own, positive and in its shortest form', () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const serials = Array.from(
      { length: 200 },
      () => new X509Certificate(makeCertificate(privateKey)).serialNumber,
    );
    assert.equal(new Set(serials).size, serials.length);
    for (const serial of serials) assert.match(serial, /^[4-7][0-9A-F]{15}$/);
  });

  it('is not made of a key that cannot sign it', () => {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    assert.throws(
      () => makeCertificate(publicKey),
      (error: unknown) => error instanceof LumameshError && error.code === 'CERTIFICATE_FAILED',
    );
  });
});
