import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { type WebCrypto, proveAccess } from '@lumamesh/protocol';
import { accessEntry, accessTokens, proofOf } from './access-tokens.ts';
import { printConfig, readConfig } from './config/config.ts';

const NK = 'N'.repeat(42) + 'A';
const PLACE = { nk: NK, fingerprint: `AA${':AA'.repeat(31)}` };
const TOKEN = 'a-token-of-somebody';
const { subtle } = globalThis.crypto as unknown as WebCrypto;

describe('the tokens of a relay', () => {
  it('are proven as clients prove them, also where only their keys are kept', async () => {
    const proof = await proveAccess(subtle, TOKEN, PLACE, 'asked');
    for (const entry of [TOKEN, accessEntry(TOKEN, NK)]) {
      const tokens = accessTokens(['another-token-entirely', entry], PLACE);
      const name = tokens.verify('asked', proof);
      assert.ok(name !== null && tokens.has(name));
      // The same by its token and by its key: it may be changed from one to the other at any time.
      assert.equal(accessTokens([accessEntry(TOKEN, NK)], PLACE).has(name), true);
      assert.equal(accessTokens(['another-token-entirely'], PLACE).has(name), false);
      assert.equal(proofOf(entry, PLACE, 'asked'), proof);
      assert.equal(tokens.verify('asked again', proof), null);
    }
    const of = (...entries: string[]) => accessTokens(entries, PLACE);
    assert.equal(of(TOKEN).isWithin(of('another-token-entirely', accessEntry(TOKEN, NK))), true);
    assert.equal(of(TOKEN, 'another-token-entirely').isWithin(of(TOKEN)), false);
    // What one relay keeps opens no other.
    const elsewhere = accessTokens([TOKEN], { ...PLACE, nk: 'M'.repeat(42) + 'A' });
    assert.equal(elsewhere.verify('asked', proof), null);
    assert.equal(elsewhere.verify('asked', proofOf(accessEntry(TOKEN, NK), PLACE, 'asked')), null);
  });

  it('are not proven by what somebody else was told who names this relay’s key and passes its challenge on', async () => {
    const impostor = { nk: NK, fingerprint: `BB${':BB'.repeat(31)}` };
    const told = await proveAccess(subtle, TOKEN, impostor, 'asked');
    assert.equal(accessTokens([TOKEN], PLACE).verify('asked', told), null);
  });

  it('are nobody’s for a proof that is mutated, cut, or none', async () => {
    const proof = await proveAccess(subtle, TOKEN, PLACE, 'asked');
    const tokens = accessTokens([TOKEN], PLACE);
    for (let i = 0; i < proof.length; i++) {
      const other = proof[i] === 'A' ? 'E' : 'A';
      assert.equal(tokens.verify('asked', proof.slice(0, i) + other + proof.slice(i + 1)), null);
      assert.equal(tokens.verify('asked', proof.slice(0, i)), null);
    }
    for (const text of ['', '!', 'A'.repeat(43), 'A'.repeat(1000)])
      assert.equal(tokens.verify('asked', text), null);
    for (let i = 0; i < 1000; i++)
      assert.equal(tokens.verify('asked', randomBytes(32).toString('base64url')), null);
  });

  it('stand in the settings, in a file, or in both; none are shown', () => {
    const folder = mkdtempSync(join(tmpdir(), 'luma-tokens-'));
    try {
      const file = join(folder, 'tokens');
      const entry = accessEntry(TOKEN, NK);
      writeFileSync(file, `# friends\n${entry}  # Ada\n\nanother-token-entirely\n`);
      const environment = { ACCESS_TOKENS: `${TOKEN}, ${TOKEN}`, ACCESS_TOKENS_FILE: file };
      const { accessTokens: entries } = readConfig({ environment });
      assert.deepEqual(entries, [TOKEN, entry, 'another-token-entirely']);
      assert.doesNotMatch(printConfig({ environment }), /a-token-of|another-token/);
      assert.equal(readConfig({}).accessTokens, undefined);
      // Relative to where the relay's files are.
      const relative = { ACCESS_TOKENS_FILE: 'tokens' };
      assert.equal(readConfig({ environment: relative, home: folder }).accessTokens?.length, 2);
      // An empty file is a list of nobody, and not the absence of one.
      writeFileSync(file, '\n');
      assert.deepEqual(readConfig({ environment: relative, home: folder }).accessTokens, []);

      writeFileSync(file, `${TOKEN}\nshort-secret\n`);
      const refused = (given: Record<string, string>): string => {
        let message = '';
        assert.throws(
          () => readConfig({ environment: given }),
          (error: Error) => (message = error.message) !== '',
        );
        return message;
      };
      assert.match(refused({ ACCESS_TOKENS_FILE: file }), /tokens, line 2: a line is a token/);
      assert.match(refused({ ACCESS_TOKENS_FILE: join(folder, 'none') }), /cannot read/);
      assert.match(refused({ ACCESS_TOKENS: `${TOKEN},short-secret` }), /ACCESS_TOKENS: the value/);
      assert.match(
        refused({ ACCESS_TOKENS: 'key:short-of-something' }),
        /ACCESS_TOKENS: the value/,
      );
      // Tokens that went missing on their way here, wherever that was, and what a weaker source has.
      for (const name of ['accessTokens', 'accessTokensFile'] as const) {
        const variable = name === 'accessTokens' ? 'ACCESS_TOKENS' : 'ACCESS_TOKENS_FILE';
        const values = { [variable]: '' };
        const sources = [
          [{ environment: values }, variable],
          [{ flags: { [name]: '' } }, `--${variable.toLowerCase().replaceAll('_', '-')}`],
          [{ file: { path: 'relay.env', values } }, `${variable} in relay.env`],
          [
            { environment: values, file: { path: 'relay.env', values: { [variable]: TOKEN } } },
            variable,
          ],
        ] as const;
        for (const [given, where] of sources)
          assert.throws(
            () => readConfig(given),
            ({ message }: Error) =>
              message.startsWith(`${where} is set, but empty: it must be `) &&
              message.endsWith('for a relay that lets in everybody leave the setting out'),
          );
        // What counts more is not empty.
        const flags = { accessTokens: TOKEN };
        if (name === 'accessTokens')
          assert.equal(readConfig({ flags, environment: values }).accessTokens?.length, 1);
      }
      writeFileSync(file, Array.from({ length: 257 }, (_, i) => `${TOKEN}-${i}`).join('\n'));
      assert.match(refused({ ACCESS_TOKENS_FILE: file }), /257 tokens, and at most 256/);
      const both: readonly Record<string, string>[] = [
        { ACCESS_TOKENS: 'short-secret' },
        { ACCESS_TOKENS_FILE: file },
      ];
      for (const given of both) assert.doesNotMatch(refused(given), /short-secret|a-token-of/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
