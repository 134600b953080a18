import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import { startCard } from './start-card.ts';

const RECORD = {
  ip: '203.0.113.9',
  port: 3478,
  sequence: 1_000_000,
  expires: 1_000_000 + 365 * 86_400,
} as unknown as SignedRelayRecord;

function card(record: Partial<SignedRelayRecord>, health = true): string {
  return startCard({
    record: { ...RECORD, ...record },
    version: '1.2.3',
    health: health ? { host: '127.0.0.1', port: 7401 } : undefined,
  }).join('\n');
}

describe('the card at the start of a relay', () => {
  it('says where browsers dial, and what to do next, the most urgent first', () => {
    const text = card({ nickname: 'Tea room', tcpPort: 443 });
    assert.match(text, /1\.2\.3 “Tea room” is up/);
    assert.match(text, /browsers dial {2}203\.0\.113\.9:3478 over UDP/);
    assert.match(text, /holds for 365 days/);
    assert.match(text, /1\. Open UDP 3478 and TCP 443/);
    assert.match(text, /keys backup/);
  });

  it('begins with the address where that is no public one, and asks for what is missing', () => {
    assert.match(card({ ip: '127.0.0.1' }), /1\. PUBLIC_IP=<your address>/);
    assert.ok(!card({ ip: '127.0.0.1' }).includes('firewall'));
    assert.match(card({ ip: '10.0.0.5' }), /1\. 10\.0\.0\.5 is private/);
    assert.match(card({}, false), /HEALTH_LISTEN=127\.0\.0\.1:7401/);
    assert.match(card({}), /CONTACT=/);
    assert.match(card({}), /lets in +everybody/);
    const closed = card({ access: 'token' });
    assert.match(closed, /lets in +who shows one of your tokens/);
    assert.match(closed, /lumamesh-relay token.*token \}\)/);
    assert.ok(!card({ contact: 'mail@example.org' }).includes('CONTACT='));
  });
});
