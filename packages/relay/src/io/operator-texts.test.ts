import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { CHANNEL_ID, findRecordFault, isContact, isNickname } from '@lumamesh/protocol';
import { connectToRelay, until } from '@lumamesh/testkit';
import { readConfig } from './config/config.ts';
import { silentLogger } from './log.ts';
import { RelayServer } from './relay-server.ts';

const FILTER = new URL('../../../../deploy/fail2ban/filter.d/lumamesh-relay.conf', import.meta.url);

async function withRelay(
  environment: Record<string, string>,
  test: (relay: RelayServer, lines: readonly string[]) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'lumamesh-texts-'));
  const file = (name: string): string => join(folder, name);
  const config = readConfig({
    environment: {
      CERT_FILE: file('crt'),
      KEY_FILE: file('key'),
      NODE_KEY: file('node'),
      LISTEN_IP: '127.0.0.1',
      REACHABILITY_RELAYS: 'off',
      ...environment,
    },
  });
  const lines: string[] = [];
  // As pino writes them: fields first, then the sentence.
  const warn = (fields: object, msg: string): void =>
    void lines.push(JSON.stringify({ level: 40, time: Date.now(), ...fields, msg }));
  const relay = await RelayServer.start({ ...config, udpPort: 0 }, { ...silentLogger, warn });
  try {
    await test(relay, lines);
  } finally {
    await relay.close();
    await rm(folder, { recursive: true, force: true });
  }
}

describe('what an operator says of himself', () => {
  it('is in the signed record, and follows a reload', () =>
    withRelay({ NICKNAME: 'Tea room', CONTACT: 'ops@example.org' }, async (relay) => {
      const { nickname, contact, sequence } = relay.record;
      assert.deepEqual([nickname, contact], ['Tea room', 'ops@example.org']);
      const next = readConfig({ environment: { NICKNAME: 'Reading room' } });
      await relay.reload(next);
      assert.equal(relay.record.nickname, 'Reading room');
      assert.equal(relay.record.contact, undefined);
      assert.ok(relay.record.sequence > sequence);
    }));

  it('has nothing in it that a page, a log or a terminal obeys, and an end', () => {
    for (const text of ['a', 'Tea room 2', 'x.y-z_1', 'a'.repeat(32)])
      assert.ok(isNickname(text), text);
    for (const text of [
      '',
      ' a',
      'a ',
      '-a',
      'a'.repeat(33),
      '<b>',
      'a"b',
      'a\nb',
      '\u001B[2J',
      'é',
    ])
      assert.ok(!isNickname(text), text);
    for (const text of ['ops@example.org', 'https://example.org/?a=b&c="d"', 'x'.repeat(128)])
      assert.ok(isContact(text), text);
    for (const text of [
      '',
      ' a',
      'a ',
      'x'.repeat(129),
      '<script>',
      'a\nb',
      'a\u0000',
      '\u202E',
      'ü',
    ])
      assert.ok(!isContact(text), text);
  });

  it('makes a record invalid where it is malformed, whoever signed it', () =>
    withRelay({}, async ({ record }) => {
      assert.equal(findRecordFault({ ...record, nickname: 'ok', contact: 'ok' }), null);
      assert.match(findRecordFault({ ...record, nickname: '<b>' }) ?? '', /nickname/);
      assert.match(findRecordFault({ ...record, contact: 7 }) ?? '', /contact/);
    }));
});

describe('a line for fail2ban', () => {
  /** The filter's expression, as fail2ban reads it for a journal. */
  const expression = (): RegExp => {
    const text = /^failregex = (.+)$/m.exec(readFileSync(FILTER, 'utf8'))?.[1] ?? '';
    return new RegExp(text.replace('<ADDR>', '(?<address>[0-9a-fA-F:.]+)'));
  };

  const misbehave = async (relay: RelayServer): Promise<void> => {
    let isClosed = false;
    const client = await connectToRelay({ ...relay.record, ip: '127.0.0.1' }, (event) => {
      if (event.type === 'closed') isClosed = true;
      if (event.type === 'message' && String(event.data).includes('"welcome"'))
        for (let i = 0; i < 40; i++) client.send(CHANNEL_ID, 'nonsense');
    });
    await until(() => isClosed, 'it was not turned away');
    await client.close();
  };

  it('names the address of who is turned away, where the operator wants it', () =>
    withRelay({ ABUSE_LOG: 'on' }, async (relay, lines) => {
      await misbehave(relay);
      const match = lines.map((line) => expression().exec(line)).find((found) => found !== null);
      assert.equal(match?.groups?.['address'], '127.0.0.1', lines.join('\n'));
    }));

  it('is not written otherwise', () =>
    withRelay({}, async (relay, lines) => {
      await misbehave(relay);
      assert.ok(!lines.some((line) => line.includes('127.0.0.1')), lines.join('\n'));
    }));
});
