import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { netKey } from './use-net.ts';

describe('the options of a net', () => {
  it('are the same when the same is in them', () => {
    const write = (port: number): string =>
      netKey({
        relays: ['luma1.a', new URL('https://example.org/relay.txt')],
        iceServers: [{ urls: `stun:192.0.2.1:${port}` }],
      });
    assert.equal(write(1), write(1));
    assert.notEqual(write(1), write(2));
    assert.equal(netKey({}), netKey({ relays: [], discover: true }));
    assert.notEqual(netKey({}), netKey({ discover: false }));
    assert.notEqual(netKey({ relays: 'luma1.a' }), netKey({ relays: 'luma1.b' }));
    assert.equal(netKey({ storage: null }), netKey({ logger: {} }));
  });
});
