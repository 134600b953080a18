import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { describe, it } from 'node:test';
import { type AccessPlace, isAccessToken, proveAccess } from './access.ts';
import type { WebCrypto } from './web-crypto.ts';
import { parseClientMessage } from './room-messages.ts';

const TOKEN = 'correct-horse-battery';

describe('the proof of a token', () => {
  it('is HMAC by a key that is one relay’s, over what that relay has asked', async () => {
    const nk = 'N'.repeat(43);
    const fingerprint = `AA${':AA'.repeat(31)}`;
    const place = { nk, fingerprint };
    const key = createHmac('sha256', TOKEN).update(`lumamesh access key 1\n${nk}`).digest();
    const proof = createHmac('sha256', key)
      .update(`lumamesh access 1\n${fingerprint}\nasked`)
      .digest('base64url');
    const prove = async (token: string, relay: AccessPlace, challenge: string): Promise<string> =>
      proveAccess((globalThis.crypto as unknown as WebCrypto).subtle, token, relay, challenge);
    assert.equal(await prove(TOKEN, place, 'asked'), proof);
    // Nobody else has the same: another relay, who names its key, another session, another token.
    for (const other of [
      await prove(TOKEN, { nk: 'M'.repeat(43), fingerprint }, 'asked'),
      await prove(TOKEN, { nk, fingerprint: fingerprint.replace('AA', 'BB') }, 'asked'),
      await prove(TOKEN, place, 'asked again'),
      await prove(`${TOKEN}.`, place, 'asked'),
    ])
      assert.notEqual(other, proof);
  });
});

describe('a token', () => {
  it('is 16 to 128 printable characters without blanks and commas', () => {
    for (const token of [TOKEN, '!'.repeat(16), '~'.repeat(128), 'a+b/c=d-e_f.ghijk'])
      assert.equal(isAccessToken(token), true, token);
    const wrong = [
      '',
      'x'.repeat(15),
      'x'.repeat(129),
      `${TOKEN} `,
      `${TOKEN},`,
      `${TOKEN}é`,
      `key:${TOKEN}`,
    ];
    for (const token of [...wrong, `${TOKEN}\n`, 42, null, undefined, [TOKEN]])
      assert.equal(isAccessToken(token), false, String(token));
  });
});

describe('an access frame', () => {
  it('has a proof of 43 characters, and nothing else will do', () => {
    const proof = 'p'.repeat(43);
    const frame = JSON.stringify({ action: 'access', proof });
    const parsed = parseClientMessage(frame);
    assert.deepEqual(parsed, { ok: true, value: { action: 'access', proof } });
    for (let end = 0; end < frame.length; end++)
      assert.equal(parseClientMessage(frame.slice(0, end)).ok, false);
    for (const wrong of [
      '',
      'p'.repeat(42),
      'p'.repeat(44),
      '='.repeat(43),
      42,
      null,
      undefined,
      {},
    ])
      assert.equal(
        parseClientMessage(JSON.stringify({ action: 'access', proof: wrong })).ok,
        false,
      );
  });
});
