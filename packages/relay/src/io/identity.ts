import {
  X509Certificate,
  createHash,
  createPrivateKey,
  generateKeyPairSync,
  randomBytes,
  sign,
  type KeyObject,
} from 'node:crypto';
import { LumameshError, concatBytes, toBase64Url } from '@lumamesh/base';
import { formatFingerprint } from '@lumamesh/protocol';
import { type LocalCertificate, isIcePassword } from '@lumamesh/transport';
import { signingKey } from '@lumamesh/transport/io';
import { makeCertificate } from './certificate.ts';
import type { RelayConfig } from './config/config.ts';
import { createKeyFile, readKeyFile } from './key-file.ts';

export interface IdentityFiles {
  readonly certFile: string;
  readonly keyFile: string;
  readonly nodeKeyFile: string;
  /** Given by the operator; otherwise read from, or made in, `<keyFile>.icepwd`. */
  readonly icePassword?: string;
}

/** Where a configuration keeps its identity. */
export function identityFiles({ certFile, keyFile, nodeKey, icePwd }: RelayConfig): IdentityFiles {
  return {
    certFile,
    keyFile,
    nodeKeyFile: nodeKey,
    ...(icePwd === undefined ? {} : { icePassword: icePwd }),
  };
}

/** Who a relay is. Four files hold it; whoever has them is this relay. */
export interface Identity {
  readonly certificate: LocalCertificate;
  /** "AB:CD:…" */
  readonly fingerprint: string;
  readonly icePassword: string;
  /** base64url Ed25519 public key. */
  readonly nk: string;
  /** Ed25519 seed and public key, 64 bytes: what libp2p makes its identity of. */
  readonly rawNodeKey: Uint8Array;
  sign(data: Uint8Array): Uint8Array;
}

/** 16 random bytes as 32 hex characters. */
const ICE_PASSWORD_BYTES = 16;

/**
 * Reads the identity, making what is missing (mode 0600; unless told not to) and never writing over
 * what is there. Throws `KEY_FILE_DAMAGED`, `KEY_FILE_MISSING`, `KEY_FILE_UNREADABLE` or
 * `KEY_FILE_UNWRITABLE`, each naming the file.
 */
export async function loadIdentity(
  files: IdentityFiles,
  { mayMake = true }: { readonly mayMake?: boolean } = {},
): Promise<Identity> {
  if (!mayMake) await requireFiles(files);
  const { key, certificate } = await loadCertificate(files.certFile, files.keyFile);
  const nodeKey = await loadNodeKey(files.nodeKeyFile);
  const icePassword = files.icePassword ?? (await loadIcePassword(`${files.keyFile}.icepwd`));
  return {
    certificate: { der: new Uint8Array(certificate.raw), privateKey: signingKey(key) },
    fingerprint: formatFingerprint(createHash('sha256').update(certificate.raw).digest()),
    icePassword,
    nk: toBase64Url(rawKeyPair(nodeKey).subarray(32)),
    rawNodeKey: rawKeyPair(nodeKey),
    sign: (data) => sign(null, data, nodeKey),
  };
}

async function requireFiles({
  certFile,
  keyFile,
  nodeKeyFile,
  icePassword,
}: IdentityFiles): Promise<void> {
  const wanted = [
    keyFile,
    certFile,
    nodeKeyFile,
    ...(icePassword === undefined ? [`${keyFile}.icepwd`] : []),
  ];
  for (const file of wanted)
    if ((await readKeyFile(file)) === null)
      throw new LumameshError(
        'KEY_FILE_MISSING',
        `there is no ${file}: \`keys make\` makes an identity, \`keys restore\` brings one back`,
      );
}

async function loadCertificate(
  certFile: string,
  keyFile: string,
): Promise<{ key: KeyObject; certificate: X509Certificate }> {
  // The certificate first: another instance that is making both writes the key first.
  const certPem = await readKeyFile(certFile);
  const keyPem = await readKeyFile(keyFile);
  if (keyPem === null && certPem !== null) {
    throw new LumameshError(
      'KEY_FILE_MISSING',
      `${certFile} is there but its key ${keyFile} is not: restore the key from your backup, or move the certificate away for a new identity`,
    );
  }
  const key =
    keyPem === null
      ? await createPem(
          keyFile,
          generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
          'ec',
        )
      : readKey(keyFile, keyPem, 'ec');
  if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1')
    throw damaged(keyFile, 'it holds no ECDSA P-256 key');
  const pem = certPem ?? (await createKeyFile(certFile, makeCertificate(key)));
  const certificate = attempt(
    certFile,
    'it holds no X.509 certificate',
    () => new X509Certificate(pem),
  );
  if (!certificate.checkPrivateKey(key))
    throw damaged(certFile, `it is not the certificate of ${keyFile}`);
  return { key, certificate };
}

async function loadNodeKey(file: string): Promise<KeyObject> {
  const pem = await readKeyFile(file);
  return pem === null
    ? createPem(file, generateKeyPairSync('ed25519').privateKey, 'ed25519')
    : readKey(file, pem, 'ed25519');
}

async function loadIcePassword(file: string): Promise<string> {
  const text =
    (await readKeyFile(file)) ??
    (await createKeyFile(file, `${randomBytes(ICE_PASSWORD_BYTES).toString('hex')}\n`));
  const password = text.trim();
  if (!isIcePassword(password))
    throw damaged(file, 'an ICE password has 22 to 256 letters, digits, + or /');
  return password;
}

function readKey(file: string, pem: string, type: 'ec' | 'ed25519'): KeyObject {
  const key = attempt(file, 'it holds no private key in PEM form', () => createPrivateKey(pem));
  if (key.asymmetricKeyType !== type)
    throw damaged(
      file,
      `it holds a key of type ${key.asymmetricKeyType ?? 'unknown'}, not ${type}`,
    );
  return key;
}

async function createPem(file: string, key: KeyObject, type: 'ec' | 'ed25519'): Promise<KeyObject> {
  // Another instance may have been faster; then its key is the one that counts.
  const pem = await createKeyFile(file, key.export({ type: 'pkcs8', format: 'pem' }));
  return readKey(file, pem, type);
}

function rawKeyPair(privateKey: KeyObject): Uint8Array<ArrayBuffer> {
  const { d, x } = privateKey.export({ format: 'jwk' });
  return concatBytes([Buffer.from(d ?? '', 'base64url'), Buffer.from(x ?? '', 'base64url')]);
}

function attempt<T>(file: string, why: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw damaged(file, why, error);
  }
}

function damaged(file: string, why: string, cause?: unknown): LumameshError {
  return new LumameshError(
    'KEY_FILE_DAMAGED',
    `${file} cannot be used: ${why}. It was left as it is: restore it from your backup, or move it away for a new identity`,
    { cause },
  );
}
