import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, describe, it } from 'node:test';
import { connectToRelay, until } from '@lumamesh/testkit';
import { decodeMonthCount, encodeMonthCount, monthOf } from '../core/monthly-traffic.ts';
import { readConfig } from './config/config.ts';
import { silentLogger } from './log.ts';
import { MonthlyWatch } from './monthly-watch.ts';
import { RelayServer } from './relay-server.ts';

interface Bench {
  readonly relay: RelayServer;
  readonly lines: readonly string[];
  /** The relay with other settings. */
  readonly reload: (environment: Record<string, string>) => Promise<void>;
}

async function start(
  test: TestContext,
  environment: Record<string, string>,
  folder = '',
): Promise<Bench> {
  const home = folder === '' ? await mkdtemp(join(tmpdir(), 'lumamesh-resting-')) : folder;
  const basis = { LISTEN_IP: '127.0.0.1', REACHABILITY_RELAYS: 'off', ...environment };
  const lines: string[] = [];
  const note = (fields: object, text: string): void =>
    void lines.push(`${text} ${JSON.stringify(fields)}`);
  const config = readConfig({ environment: basis, home });
  const log = { ...silentLogger, warn: note, error: note };
  const relay = await RelayServer.start({ ...config, udpPort: 0 }, log);
  test.after(async () => {
    await relay.close();
    if (folder === '') await rm(home, { recursive: true, force: true });
  });
  return {
    relay,
    lines,
    reload: (change) => relay.reload(readConfig({ environment: { ...basis, ...change }, home })),
  };
}

async function folderWith(test: TestContext, text: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'lumamesh-resting-'));
  test.after(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, 'node.key.traffic'), text);
  return folder;
}

/** A browser that leaves when it is told to. */
async function visitor(relay: RelayServer) {
  const frames: string[] = [];
  let isClosed = false;
  const client = await connectToRelay({ ...relay.record, ip: '127.0.0.1' }, (event) => {
    if (event.type === 'closed') isClosed = true;
    if (event.type === 'message') frames.push(String(event.data));
  });
  const hears = (text: string) => until(() => frames.some((f) => f.includes(text)), text);
  return { client, hears, isClosed: () => isClosed };
}

const USED = encodeMonthCount({ month: monthOf(Date.now()), bytes: 96_000_000 });

describe('a relay whose traffic of the month is used', () => {
  it('tells its sessions to move, takes no new ones, says why, and goes on when there is some again', async (test) => {
    const folder = await folderWith(test, USED);
    const { relay, lines, reload } = await start(test, { MONTHLY_TRAFFIC: '1GB' }, folder);
    const first = await visitor(relay);
    await first.hears('"welcome"');
    assert.equal(relay.condition.isResting, false);
    await reload({ MONTHLY_TRAFFIC: '100MB' });
    await first.hears('"RELAY_CLOSING"');
    await first.client.close();
    assert.equal(relay.condition.isResting, true);
    assert.ok(lines.some((line) => line.includes('the relay rests until the month turns')));
    const { monthly } = relay.stats();
    assert.ok(monthly !== undefined && monthly.isResting && monthly.bytes >= 96_000_000);
    const refusals = (): number => relay.stats().drops['endpoint.resting'] ?? 0;
    const late = visitor(relay);
    await until(() => refusals() > 0, 'nobody was refused');
    assert.equal(relay.stats().sessions.established, 0);
    // Its own question is answered: it is not ill.
    assert.equal(await relay.checkSelf(2000), 'answered');
    await reload({ MONTHLY_TRAFFIC: '1GB' });
    // The browser has asked all the time.
    const { client, hears } = await late;
    await hears('"welcome"');
    assert.equal(relay.condition.isResting, false);
    await client.close();
  });

  it('closes who does not go', async (test) => {
    const folder = await folderWith(test, USED);
    const { relay, reload } = await start(test, { MONTHLY_TRAFFIC: '1GB' }, folder);
    const stubborn = await visitor(relay);
    await stubborn.hears('"welcome"');
    await reload({ MONTHLY_TRAFFIC: '100MB' });
    await until(() => stubborn.isClosed(), 'it is still there');
    await stubborn.client.close();
  });

  it('rests over a restart, and leaves the mesh until there is some again', async (test) => {
    const mesh = { MESH_SALT: 'resting relays', MESH_LISTEN: '127.0.0.1:0' };
    const other = await start(test, mesh);
    const port = other.relay.record.meshPort;
    assert.ok(port !== undefined);
    const folder = await folderWith(test, USED);
    const { relay, reload } = await start(
      test,
      { ...mesh, MESH_PEERS: `127.0.0.1:${port}`, MONTHLY_TRAFFIC: '100MB' },
      folder,
    );
    const links = (): number => other.relay.stats().mesh?.links.accepted ?? 0;
    assert.equal(relay.condition.isResting, true);
    assert.equal(relay.condition.meshLinks, null, 'it is not alone: it rests');
    assert.equal(links(), 0);
    await reload({ MONTHLY_TRAFFIC: '1GB' });
    await until(() => links() === 1, 'it has not come back');
    await reload({ MONTHLY_TRAFFIC: '100MB' });
    await until(() => links() === 0, 'it has not left');
    await relay.close();
    const saved = decodeMonthCount(await readFile(join(folder, 'node.key.traffic'), 'utf8'));
    assert.ok(saved !== null && saved.bytes > 96_000_000);
  });

  it('says so loudly when its file is damaged, and counts from zero', async (test) => {
    const folder = await folderWith(test, '\0\0\0\0');
    const { relay, lines } = await start(test, { MONTHLY_TRAFFIC: '100MB' }, folder);
    assert.ok(lines.some((line) => line.includes('is damaged: it counts from zero')));
    assert.equal(relay.condition.isResting, false);
  });
});

describe('the count of a month', () => {
  it('rests and goes on by the calendar, and is written seldom', async (test) => {
    const folder = await mkdtemp(join(tmpdir(), 'lumamesh-month-'));
    test.after(() => rm(folder, { recursive: true, force: true }));
    const file = join(folder, 'node.key.traffic');
    const changes: boolean[] = [];
    let total = 0;
    const noon = Date.UTC(2036, 4, 31, 12);
    const watch = await MonthlyWatch.start(
      {
        file,
        maxBytes: () => 1e9,
        readTotal: () => total,
        log: silentLogger,
        onChange: (isResting) => void changes.push(isResting),
      },
      noon,
    );
    const read = async () => decodeMonthCount(await readFile(file, 'utf8').catch(() => ''));
    total = 5e8;
    watch.look(noon + 60_000);
    await watch.save(noon + 60_000);
    assert.deepEqual(await read(), { month: '2036-05', bytes: 5e8 });
    total = 6e8;
    watch.look(noon + 120_000);
    assert.equal((await read())?.bytes, 5e8, 'not each minute');
    total = 95e7;
    watch.look(noon + 180_000);
    assert.deepEqual([changes, watch.isResting], [[true], true]);
    watch.look(Date.UTC(2036, 5, 1) - 1);
    assert.deepEqual(changes, [true]);
    watch.look(Date.UTC(2036, 5, 1));
    assert.deepEqual([changes, watch.isResting], [[true, false], false]);
    assert.deepEqual(watch.stats, { month: '2036-06', bytes: 0, max: 1e9, isResting: false });
    await watch.stop();
  });
});
