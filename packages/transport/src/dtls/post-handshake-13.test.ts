import assert from 'node:assert/strict';
import { it } from 'node:test';
import { Fifo, type Transmit, instant } from '@lumamesh/base';
import { testCrypto } from '@lumamesh/testkit';
import { chooseCipherSuite13 } from './cipher-suite-13.ts';
import { FlightSender } from './flight/flight-sender.ts';
import { RecordProtection13 } from './record/record-protection-13.ts';
import { HANDSHAKE_TYPE } from './message/handshake-header.ts';
import { encodeKeyUpdate } from './message/key-update.ts';
import { PostHandshake13 } from './post-handshake-13.ts';
import { RecordLayer } from './record/record-layer.ts';

it('takes a few KeyUpdates at once and then one a second; the others wait', () => {
  const crypto = testCrypto(1);
  const suite = chooseCipherSuite13([0x1301]);
  assert.ok(suite !== null);
  const secret = crypto.randomBytes(32);
  const records = new RecordLayer();
  records.installReadKeys(3, new RecordProtection13(crypto, suite, secret));
  records.installWriteKeys(3, new RecordProtection13(crypto, suite, secret));
  const sent = new Fifo<Transmit>();
  const flights = new FlightSender(records, 1200, sent, true);
  const after = new PostHandshake13(instant(0), crypto, records, flights, true, {
    suite,
    readSecret: secret,
    writeSecret: secret,
    nextReceiveSeq: 2,
    nextSendSeq: 5,
  });
  let messageSeq = 2;
  /** As many as are taken of a hundred, each under the keys of the one before. */
  const updates = (ms: number): number => {
    for (let taken = 0; taken < 100; taken++) {
      const body = encodeKeyUpdate(false);
      const step = after.handleFragment(instant(ms), records.readEpoch, {
        type: HANDSHAKE_TYPE.keyUpdate,
        length: body.length,
        messageSeq,
        fragmentOffset: 0,
        fragment: body,
      });
      if (step.type === 'drop') {
        assert.equal(step.drop, 'dtls.keyUpdate.budget');
        return taken;
      }
      messageSeq += 1;
    }
    return 100;
  };
  assert.equal(updates(0), 20);
  assert.equal(records.readEpoch, 23);
  assert.equal(updates(3000), 3);
  assert.equal(updates(100_000), 20);
});
