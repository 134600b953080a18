import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { instant } from '@lumamesh/base';
import {
  TEST_CHANNEL,
  TEST_ICE,
  clientOptions,
  pause,
  serverCertificate,
  until,
} from '@lumamesh/testkit';
import { DEFAULT_SESSION_LIMITS } from '../session-types.ts';
import { Alarm, monotonicNow } from './clock.ts';
import { nodeCrypto } from './node-crypto.ts';
import { UdpClient } from './udp-client.ts';
import { UdpEndpoint } from './udp-endpoint.ts';

/* What is closed holds no process. */

const timers = (): number =>
  process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length;

describe('an alarm', () => {
  it('that was stopped is set no more', async () => {
    let due = 0;
    const alarm = new Alarm(() => (due += 1));
    alarm.set(instant(monotonicNow() + 1));
    alarm.stop();
    alarm.set(instant(monotonicNow() + 1));
    await pause(50);
    assert.equal(due, 0);
  });
});

describe('an endpoint', () => {
  it('that is closed between a datagram and what it causes leaves no timer behind', async () => {
    const before = timers();
    const udp = await UdpEndpoint.start({
      crypto: nodeCrypto,
      port: 0,
      address: '127.0.0.1',
      ice: TEST_ICE,
      certificate: serverCertificate,
      requestClientCertificate: false,
      negotiatedChannels: [TEST_CHANNEL],
      limits: { maxSessions: 10, cookieThreshold: 5, maxHalfOpen: 10 },
      sessionLimits: DEFAULT_SESSION_LIMITS,
      onEvent: () => undefined,
    });
    let isOpen = false;
    const client = await UdpClient.connect({
      ...clientOptions({ crypto: nodeCrypto }),
      remote: { address: '127.0.0.1', port: udp.socket.port },
      onEvent: (event) => (isOpen ||= event.type === 'channelOpen'),
    });
    await until(() => isOpen, 'not connected');
    const { endpoint } = udp;
    const take = endpoint.handleDatagram.bind(endpoint);
    // As an allocation of TURN has one.
    const deadline = instant(monotonicNow() + 600_000);
    Object.defineProperty(endpoint, 'deadline', { get: () => deadline });
    const closing: Promise<void>[] = [];
    endpoint.handleDatagram = (...datagram) => {
      take(...datagram);
      closing.push(udp.close());
    };
    client.send(0, 'the last thing that is heard');
    await until(() => closing.length > 0, 'nothing comes');
    await Promise.all(closing);
    await client.close();
    await pause(20);
    assert.equal(timers(), before);
  });
});
