import assert from 'node:assert/strict';
import { it } from 'node:test';
import { type Instant, instant, later, utf8Encode } from '@lumamesh/base';
import { Negotiation, WireBudget } from './wire-budget.ts';
import { YAMUX_DATA, YAMUX_PING, YAMUX_SYN, type YamuxHeader } from './yamux-headers.ts';

const NOW = instant(0);

function faultOf(header: YamuxHeader, count: number, stepMs = 0): string | null {
  const budget = new WireBudget();
  let now: Instant = NOW;
  for (let i = 0; i < count; i++, now = later(now, stepMs)) {
    const fault = budget.takeFrame(now, header);
    if (fault !== null) return fault;
  }
  return null;
}

it('a stream that negotiates without end is given up after a few lines', () => {
  const honest = new Negotiation();
  assert.equal(honest.take(utf8Encode('\x13/multistream/1.0.0\n')), null);
  assert.equal(honest.take(utf8Encode('\x12/lumamesh/relay/1\n')), null);
  const listing = new Negotiation();
  assert.equal(listing.take(utf8Encode('\x03ls\n'.repeat(7))), 'negotiationTooLong');
  const slow = new Negotiation();
  const faults = Array.from({ length: 7 }, () => slow.take(utf8Encode('\x03ls\n')));
  assert.deepEqual(faults, [...Array.from({ length: 6 }, () => null), 'negotiationTooLong']);
  assert.equal(new Negotiation().take(new Uint8Array(193)), 'negotiationTooLong');
});

it('streams, pings and frames that carry nothing have rates of their own', () => {
  const syn = { type: YAMUX_DATA, flags: YAMUX_SYN, length: 20 };
  assert.equal(faultOf(syn, 100), 'tooManyStreams');
  assert.equal(faultOf(syn, 100, 5000), null);
  const ping = { type: YAMUX_PING, flags: YAMUX_SYN, length: 1 };
  assert.equal(faultOf(ping, 100), 'tooManyPings');
  assert.equal(faultOf(ping, 100, 1000), null);
  const empty = { type: YAMUX_DATA, flags: 0, length: 0 };
  assert.equal(faultOf(empty, 2000), 'tooManyFrames');
  const data = { type: YAMUX_DATA, flags: 0, length: 100 };
  assert.equal(faultOf(data, 20_000), null);
  assert.equal(faultOf(data, 30_000), 'tooManyFrames');
});

it('before anything is proven few bytes are taken', () => {
  const budget = new WireBudget();
  assert.equal(budget.takeHandshake(16_384), null);
  assert.equal(budget.takeHandshake(1), 'handshakeTooLong');
  assert.equal(budget.takeBytes(NOW, 200_000), null);
  assert.equal(budget.takeBytes(NOW, 100_000), 'tooManyUnprovenBytes');
  budget.isProven = true;
  assert.equal(budget.takeBytes(NOW, 10_000_000), null);
});
