import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { CHANNEL_ID, type SignedRelayRecord, encodeRecordLine } from '@lumamesh/protocol';
import { connectToRelay, openUdpSockets, pause, until } from '@lumamesh/testkit';
import { readConfig } from '../config/config.ts';
import { silentLogger } from '../log.ts';
import { RelayServer } from '../relay-server.ts';
import { askToDialBack, dialBack } from './dial-back.ts';
import { readHelpers } from './helpers.ts';

const HERE = '127.0.0.1';

describe('a relay that is asked to dial back', () => {
  let folder = '';
  const relays: RelayServer[] = [];
  /** The first is asked; the second asks. */
  let [helper, asker]: SignedRelayRecord[] = [];

  const start = async (name: string, more: Record<string, string> = {}): Promise<RelayServer> => {
    const file = (kind: string): string => join(folder, `${name}.${kind}`);
    const config = readConfig({
      environment: {
        CERT_FILE: file('crt'),
        KEY_FILE: file('key'),
        NODE_KEY: file('node'),
        LISTEN_IP: HERE,
        REACHABILITY_RELAYS: 'off',
        ...more,
      },
    });
    const relay = await RelayServer.start({ ...config, udpPort: 0 }, silentLogger);
    relays.push(relay);
    return relay;
  };

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lumamesh-outside-'));
    helper = (await start('helper')).record;
    asker = (await start('asker')).record;
  });
  after(async () => {
    await Promise.all(relays.map((relay) => relay.close()));
    await rm(folder, { recursive: true, force: true });
  });

  it('says that it got in, and at which address', async () => {
    assert.ok(helper !== undefined && asker !== undefined);
    assert.deepEqual(await askToDialBack(helper, asker, HERE), { type: 'reached', address: HERE });
    assert.deepEqual(relays[0]?.stats().dialBacks, { reached: 1, unreached: 0, unknown: 0 });
  });

  it('dials where the question comes from, whatever address the record names', async () => {
    assert.ok(helper !== undefined && asker !== undefined);
    const elsewhere = (await start('elsewhere', { PUBLIC_IP: '203.0.113.77' })).record;
    assert.deepEqual(await askToDialBack(helper, elsewhere, undefined), {
      type: 'reached',
      address: HERE,
    });
  });

  it('has reached nobody where another relay, or nobody, answers; a forged record is not dialled', async () => {
    assert.ok(helper !== undefined && asker !== undefined);
    const other = await start('other');
    // Altered behind its signature.
    assert.equal(await dialBack({ ...asker, port: other.record.port }, HERE), 'unknown');
    await other.close();
    assert.equal(await dialBack(other.record, HERE), 'unreached');
  });

  it('is asked by nobody more than a few times, and by strangers without a record not at all', async () => {
    assert.ok(helper !== undefined && asker !== undefined);
    const heard: { action: string; code?: string }[] = [];
    const client = await connectToRelay(helper, (event) => {
      if (event.type === 'message')
        heard.push(JSON.parse(String(event.data)) as { action: string; code?: string });
    });
    await until(() => heard.length > 0, 'no welcome');
    const ask = (record: unknown): void =>
      void client.send(CHANNEL_ID, JSON.stringify({ action: 'dial-back', record }));
    ask({ ...asker, port: 99_999 });
    await until(() => heard.some(({ code }) => code === 'BAD_FRAME'), 'it was taken');
    ask(asker);
    // While one runs another one of the session is not begun.
    ask(asker);
    await until(() => heard.some(({ code }) => code === 'RATE_LIMITED'), 'it was taken, too');
    await until(() => heard.some(({ action }) => action === 'dialled-back'), 'no answer');
    for (let i = 0; i < 6; i++) ask(asker);
    await until(() => heard.filter(({ code }) => code === 'RATE_LIMITED').length > 4, 'no end');
    await client.close();
  });

  it('dials nobody any more once it closes', async () => {
    assert.ok(asker !== undefined);
    const closing = await start('closing');
    // Signed, and nobody answers at its port.
    const away = await start('away');
    await away.close();
    // A socket is closed in a later turn of the loop.
    await pause(100);
    const idle = openUdpSockets();
    const client = await connectToRelay(closing.record, (event) => {
      if (event.type === 'message' && String(event.data).includes('welcome'))
        void client.send(CHANNEL_ID, JSON.stringify({ action: 'dial-back', record: away.record }));
    });
    try {
      await until(() => openUdpSockets() === idle + 2, 'it dials nobody');
    } finally {
      await Promise.all([closing.close(), client.close()]);
    }
    const closedAt = performance.now();
    await until(() => openUdpSockets() === idle - 1, 'something stays open');
    // Nobody is there: it would wait for five seconds.
    assert.ok(performance.now() - closedAt < 4000);
    assert.deepEqual(closing.stats().dialBacks, { reached: 0, unreached: 0, unknown: 0 });
  });

  it('may have been told to dial nobody: that is no silence', async () => {
    assert.ok(asker !== undefined);
    const { record } = await start('unwilling', { DIAL_BACKS_PER_MINUTE: '0' });
    assert.deepEqual(await askToDialBack(record, asker, HERE), { type: 'noAnswer' });
  });

  it('is one of the public list, a line, a line of a file, or none', async () => {
    assert.ok(helper !== undefined && asker !== undefined);
    const line = encodeRecordLine(helper);
    const now = Date.now();
    const list = (): string => `# relays\n${line}\nnonsense\n`;
    const names = (setting: string, at = now): (string | undefined)[] =>
      readHelpers(setting, at, list).map(({ nk }) => nk);
    assert.deepEqual(names('auto'), [helper.nk]);
    assert.deepEqual(names('off'), []);
    assert.deepEqual(names(`${line}, ${encodeRecordLine(asker)}`), [helper.nk, asker.nk]);
    assert.deepEqual(names(HERE), [helper.nk]);
    await writeFile(join(folder, 'list.txt'), list());
    assert.deepEqual(names(join(folder, 'list.txt')), [helper.nk]);
    // Expired, or forged.
    assert.deepEqual(names('auto', now + 400 * 86_400_000), []);
    const forged = encodeRecordLine({ ...helper, port: 1 });
    assert.deepEqual(names(forged), []);
    for (const wrong of ['nobody.example', 'luma1.x', join(folder, 'none.txt'), ''])
      assert.throws(() => names(wrong), { code: 'BAD_CONFIG' });
  });
});
