import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type RelayConfig, readConfig } from '../config/config.ts';
import { silentLogger } from '../log.ts';
import { RelayServer } from '../relay-server.ts';
import type { Finding } from './finding.ts';
import { checkRecord } from './relay-check.ts';
import { checkTcpPort } from './tcp-check.ts';

async function all(findings: AsyncIterable<Finding>): Promise<Finding[]> {
  const list: Finding[] = [];
  for await (const finding of findings) list.push(finding);
  return list;
}

describe('a relay with TCP_PORT', () => {
  let folder: string;
  let config: RelayConfig;
  let server: RelayServer;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lumamesh-tcp-'));
    const files = Object.fromEntries(
      ['CERT_FILE', 'KEY_FILE', 'NODE_KEY'].map((name) => [name, join(folder, name)]),
    );
    const environment = { ...files, LISTEN_IP: '127.0.0.1', TCP_PORT: '28444', TURN_RATE: '5000' };
    config = { ...readConfig({ environment }), udpPort: 0 };
    server = await RelayServer.start(config, silentLogger);
  });
  after(async () => rm(folder, { recursive: true, force: true }));

  it('says so in its record, answers `check` there, and frees the port at its end', async () => {
    const { record } = server;
    assert.deepEqual([record.tcpPort, record.turn], [28_444, 5000]);
    const tcp = (await all(checkRecord(record))).find(({ name }) => name === 'TCP');
    assert.equal(tcp?.verdict, 'ok');
    const [running] = await all(checkTcpPort(config));
    assert.match(running?.detail ?? '', /a relay is running/);
    await server.close();
    const gone = (await all(checkRecord(record))).find(({ name }) => name === 'TCP');
    assert.equal(gone?.verdict, 'fail');
    assert.match(gone.mend ?? '', /let TCP 28444 through/);
    const [free] = await all(checkTcpPort(config));
    assert.match(free?.detail ?? '', /is free/);
    assert.deepEqual(await all(checkTcpPort({ ...config, tcpPort: undefined })), []);
  });
});
