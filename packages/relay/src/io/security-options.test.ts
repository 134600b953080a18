import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { connectedPair } from '@lumamesh/testkit';
import { readConfig } from './config/config.ts';
import { securityOptions } from './security-options.ts';

/** What a client that speaks everything agrees on with a relay of these settings. */
function agreed(settings: Record<string, string>): string {
  const { client } = connectedPair({
    endpoint: { security: securityOptions(readConfig({ environment: settings })) },
  });
  const secure = client.events.find(({ event }) => event.type === 'secure')?.event;
  assert.ok(secure?.type === 'secure');
  return `${secure.negotiated.version} ${secure.negotiated.group}`;
}

describe('KEY_EXCHANGE and DTLS_MAX_VERSION', () => {
  it('say what is preferred, and what is spoken at all', () => {
    assert.equal(agreed({}), '1.3 x25519mlkem768');
    assert.equal(agreed({ KEY_EXCHANGE: 'x25519' }), '1.3 x25519');
    assert.equal(agreed({ DTLS_MAX_VERSION: '1.2' }), '1.2 x25519');
    assert.throws(() => readConfig({ environment: { KEY_EXCHANGE: 'rsa' } }), /KEY_EXCHANGE/);
  });
});
