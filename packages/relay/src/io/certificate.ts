import { type KeyObject, createPublicKey, webcrypto } from 'node:crypto';
import { LumameshError } from '@lumamesh/base';

const VALID_FROM = new Date('2020-01-01T00:00:00Z');
/**
 * RFC 5280 §4.1.2.5: the value for "no well-defined expiration". Browsers look at the fingerprint
 * only (RFC 8827 §6.5).
 */
const VALID_TO = new Date('9999-12-31T23:59:59Z');

/** A self-signed certificate in PEM form for an ECDSA P-256 key. */
export async function makeCertificate(key: KeyObject): Promise<string> {
  // Loaded on the first start of a new identity only: it is a tenth of the relay's memory.
  await import('reflect-metadata');
  const { X509CertificateGenerator } = await import('@peculiar/x509');
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const importKey = async (
    object: KeyObject,
    usage: 'sign' | 'verify',
  ): Promise<webcrypto.CryptoKey> =>
    webcrypto.subtle.importKey('jwk', object.export({ format: 'jwk' }), algorithm, true, [usage]);
  try {
    const certificate = await X509CertificateGenerator.createSelfSigned(
      {
        name: 'CN=lumamesh relay',
        notBefore: VALID_FROM,
        notAfter: VALID_TO,
        signingAlgorithm: algorithm,
        keys: {
          privateKey: await importKey(key, 'sign'),
          publicKey: await importKey(createPublicKey(key), 'verify'),
        },
      },
      webcrypto,
    );
    return `${certificate.toString('pem')}\n`;
  } catch (error) {
    throw new LumameshError(
      'CERTIFICATE_FAILED',
      `cannot make a certificate: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  }
}
