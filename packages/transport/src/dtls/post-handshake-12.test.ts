import assert from 'node:assert/strict';
import { it } from 'node:test';
import { Fifo, type Transmit, instant } from '@lumamesh/base';
import { FlightSender } from './flight/flight-sender.ts';
import { HANDSHAKE_TYPE } from './message/handshake-header.ts';
import { PostHandshake12 } from './post-handshake-12.ts';
import { RecordLayer } from './record/record-layer.ts';

it('tells who asks to renegotiate once a second that it may not, and drops what comes meanwhile', () => {
  const flights = new FlightSender(new RecordLayer(), 1200, new Fifo<Transmit>(), true);
  const after = new PostHandshake12(flights, true);
  /** How many of as many requests as one record has place for are replied to. */
  const replies = (ms: number): number => {
    let warned = 0;
    for (let messageSeq = 0; messageSeq < 330; messageSeq++) {
      const step = after.handleFragment(instant(ms), 1, {
        type: HANDSHAKE_TYPE.clientHello,
        length: 0,
        messageSeq,
        fragmentOffset: 0,
        fragment: new Uint8Array(0),
      });
      assert.ok(step.type === 'warn' || step.type === 'drop');
      assert.equal(step.drop, 'dtls.handshake.renegotiation');
      if (step.type === 'warn') warned += 1;
    }
    return warned;
  };
  assert.equal(replies(0), 1);
  assert.equal(replies(999), 0);
  assert.equal(replies(1000), 1);
});
