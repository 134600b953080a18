import { randomBytes } from 'node:crypto';
import { toBase64Url } from '@lumamesh/base';
import { type Attack, FROM } from './flood.ts';
import { KNOWN_ROOM } from './honest.ts';
import { Stub } from './stub.ts';

/* Who wants to come in where not everybody may (docs/adr/0090-private-relays-ask-for-a-token.md). */
const TOKENS = 256;
const PROOF_BYTES = 32;
const SESSION_EVERY_MS = 10;
const SESSION_MS = 2000;
const TOKEN = 'that-of-the-honest-ones';

export const GUESSES: Readonly<Record<string, Attack>> = {
  'token-guesses': {
    what: 'sessions that guess tokens of a private relay, or show none and wait',
    // As many as a relay may have: each guess is compared with all of them.
    environment: {
      ACCESS_TOKENS: [
        TOKEN,
        ...Array.from({ length: TOKENS - 1 }, (_, i) => `token-of-others-${i}`),
      ].join(','),
    },
    token: TOKEN,
    run: async (record) => {
      for (let i = 0; ; i++) {
        const proof = toBase64Url(randomBytes(PROOF_BYTES));
        const stub = await Stub.open(record, {
          from: FROM,
          onFrame: (text, self) => {
            const { action } = JSON.parse(text) as { readonly action: string };
            if (action !== 'welcome') return;
            const peer = `${i}`.padEnd(22, 'g');
            // What waits behind a guess, or has none before it, is refused as well.
            if (i % 4 !== 0) self.say({ action: 'access', proof });
            self.say({ action: 'join', room: KNOWN_ROOM, peer });
          },
        });
        setTimeout(() => stub.close(false), SESSION_MS);
        await new Promise((resolve) => setTimeout(resolve, SESSION_EVERY_MS));
      }
    },
  },
};
