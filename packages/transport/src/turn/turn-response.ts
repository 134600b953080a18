import { type SyncCrypto, writeUint32 } from '@lumamesh/base';
import { encodeErrorCode } from '../stun/attributes/error-code.ts';
import { addFingerprint } from '../stun/attributes/fingerprint-attribute.ts';
import { addMessageIntegrity } from '../stun/attributes/message-integrity.ts';
import { encodeUnknownAttributes } from '../stun/attributes/unknown-attributes.ts';
import { ATTRIBUTE, StunBuilder, type StunMessage } from '../stun/message.ts';
import { TURN_ATTRIBUTE, type TurnErrorCode } from './turn-codes.ts';

/** A success response (RFC 8489 §6.3.1.1) with these attributes, signed. */
export function successResponse(
  crypto: SyncCrypto,
  key: Uint8Array,
  request: StunMessage,
  attributes: readonly (readonly [type: number, value: Uint8Array])[],
): Uint8Array {
  const builder = new StunBuilder('success', request.method, request.transactionId);
  for (const [type, value] of attributes) builder.attribute(type, value);
  return finish(addMessageIntegrity(builder, crypto, key), request);
}

/** An error response to who has authenticated himself, signed. It has no reason phrase. */
export function errorResponse(
  crypto: SyncCrypto,
  key: Uint8Array,
  request: StunMessage,
  code: TurnErrorCode,
  unknown: readonly number[] = [],
): Uint8Array {
  const builder = errorBuilder(request, code);
  if (unknown.length > 0)
    builder.attribute(ATTRIBUTE.unknownAttributes, encodeUnknownAttributes(unknown));
  return finish(addMessageIntegrity(builder, crypto, key), request);
}

/** 401 or 438 with realm and nonce: 48 bytes, so that it is of no use to who forges addresses. */
export function challengeResponse(
  request: StunMessage,
  code: 401 | 438,
  realm: Uint8Array,
  nonce: Uint8Array,
): Uint8Array {
  return errorBuilder(request, code)
    .attribute(TURN_ATTRIBUTE.realm, realm)
    .attribute(TURN_ATTRIBUTE.nonce, nonce)
    .finish();
}

/** 400 to who has not authenticated himself. */
export function badRequestResponse(request: StunMessage): Uint8Array {
  return errorBuilder(request, 400).finish();
}

/** The value of LIFETIME (RFC 8656 §18.2). */
export function encodeLifetime(seconds: number): Uint8Array {
  const value = new Uint8Array(4);
  writeUint32(value, 0, seconds);
  return value;
}

function errorBuilder(request: StunMessage, code: TurnErrorCode): StunBuilder {
  return new StunBuilder('error', request.method, request.transactionId).attribute(
    ATTRIBUTE.errorCode,
    encodeErrorCode({ code, reason: '' }),
  );
}

/** RFC 8489 §14.7: FINGERPRINT goes with the response where the request had it. */
function finish(builder: StunBuilder, request: StunMessage): Uint8Array {
  if (request.attributes.at(-1)?.type === ATTRIBUTE.fingerprint) addFingerprint(builder);
  return builder.finish();
}
