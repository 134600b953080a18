import assert from 'node:assert/strict';
import { it } from 'node:test';
import { deriveRoomSecret } from './room-secret.ts';
import { midOf, relayAnswer } from './relay-answer.ts';
import type { WebCryptoSubtle } from './web-crypto.ts';

const subtle = crypto.subtle as unknown as WebCryptoSubtle;

it('derives the same room from the same name and password, in any Unicode form, and another from any other', async () => {
  const id = async (name: string, password = ''): Promise<string> =>
    (await deriveRoomSecret(subtle, name, password)).roomId;
  const tea = await id('tea');
  assert.match(tea, /^[A-Za-z0-9_-]{43}$/);
  assert.equal(tea, await id('tea'));
  assert.equal(await id('caf\u00e9'), await id('cafe\u0301'));
  const others = await Promise.all([
    id('Tea'),
    id('tea '),
    id('tea', 'p'),
    id('tea', 'q'),
    id('te', 'ap'),
  ]);
  assert.equal(new Set([tea, ...others]).size, 6);
});

it('keeps its derivation: these values are what other versions compute', async () => {
  assert.equal(
    (await deriveRoomSecret(subtle, 'lobby', '')).roomId,
    'GtOA7Ub1gul96buBcpnSt4yJxjFxfA7Db4IU_Cn6Q9c',
  );
  assert.equal(
    (await deriveRoomSecret(subtle, 'lobby', 'sesame')).roomId,
    'jCoNzBs46kpD93hECbyRUT5yEJbp3-1R34-nLgfLKKw',
  );
  const channelIds = await Promise.all([
    deriveRoomSecret(subtle, 'lobby', '', 'channel'),
    deriveRoomSecret(subtle, 'lobby', 'sesame', 'channel'),
  ]);
  assert.deepEqual(
    channelIds.map(({ roomId }) => roomId),
    ['wGJhmaZF84Bc27Y_wIRP1ljvNVTYcBXLlG3BBz3BwEg', 'kY0JILcznmKM2WrdUvjqRpjITeBoqLvKOjtrRt9K5M4'],
  );
});

it('writes the answer that browsers take, with one candidate per address', () => {
  const record = { fingerprint: 'AA:BB', port: 3478, ufrag: 'luma', pwd: 'x'.repeat(22) };
  const sdp = relayAnswer(record, ['203.0.113.1', '2001:db8::1'], 'data');
  assert.ok(sdp.endsWith('\r\n') && !/[^\r]\n/.test(sdp));
  for (const line of [
    'a=mid:data',
    'a=group:BUNDLE data',
    'a=ice-lite',
    'a=setup:passive',
    'a=sctp-port:5000',
    'c=IN IP4 203.0.113.1',
    'm=application 3478 UDP/DTLS/SCTP webrtc-datachannel',
  ])
    assert.ok(sdp.includes(`${line}\r\n`), line);
  assert.deepEqual(sdp.match(/a=candidate:.*/g), [
    'a=candidate:1 1 udp 2130706431 203.0.113.1 3478 typ host',
    'a=candidate:2 1 udp 2130706175 2001:db8::1 3478 typ host',
  ]);
  const overTcp = relayAnswer(record, ['203.0.113.1', '2001:db8::1'], 'data', 443);
  assert.ok(overTcp.includes('m=application 443 UDP/DTLS/SCTP webrtc-datachannel\r\n'));
  assert.deepEqual(overTcp.match(/a=candidate:.*/g), [
    'a=candidate:1 1 tcp 1520435199 203.0.113.1 443 typ host tcptype passive',
    'a=candidate:2 1 tcp 1520434943 2001:db8::1 443 typ host tcptype passive',
  ]);
  assert.equal(midOf('v=0\r\na=mid:5\r\n'), '5');
  assert.equal(midOf(''), '0');
});
