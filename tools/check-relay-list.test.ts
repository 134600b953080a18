import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { generateKeyPairSync, sign } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { type RelayRecord, encodeRecordLine, signRecord } from '@lumamesh/protocol';
import { RelayServer, readConfig, silentLogger } from '@lumamesh/relay';
import { isSignedRecord } from '../packages/relay/src/io/record.ts';
import { checkListFile } from './check-relay-list.ts';
import {
  type DialResult,
  type ListRules,
  MAX_DIALS_AT_ONCE,
  MAX_LIST_BYTES,
  checkRelayList,
  dialRelays,
  formatFinding,
} from './relay-list.ts';

const ROOT = join(import.meta.dirname, '..');
const TOOL = join(import.meta.dirname, 'check-relay-list.ts');
const NOW_SECONDS = 1_800_000_000;
const DAY_SECONDS = 86_400;
const RULES: ListRules = { nowUnixMs: NOW_SECONDS * 1000, isSigned: isSignedRecord };

/** A key of its own for each call, and a record that it signed. */
function makeLine(
  change: Partial<RelayRecord> = {},
  key = generateKeyPairSync('ed25519').privateKey,
): Promise<string> {
  const record: RelayRecord = {
    fingerprint: Array.from({ length: 32 }, () => 'AB').join(':'),
    ip: '9.9.9.9',
    port: 3478,
    ufrag: 'luma',
    pwd: 'p'.repeat(32),
    nk: key.export({ format: 'jwk' }).x ?? '',
    sequence: NOW_SECONDS - 60,
    expires: NOW_SECONDS + 300 * DAY_SECONDS,
    ...change,
  };
  return signRecord(record, async (data) => sign(null, data, key)).then(encodeRecordLine);
}

/** Findings as the program prints them. */
function check(text: string | Uint8Array, rules: Partial<ListRules> = {}): string[] {
  const bytes = typeof text === 'string' ? new TextEncoder().encode(text) : text;
  return checkRelayList(bytes, { ...RULES, ...rules }).findings.map((finding) =>
    formatFinding('relay.txt', finding),
  );
}

function reencode(line: string, change: (record: Record<string, unknown>) => unknown): string {
  const json = JSON.parse(Buffer.from(line.slice(6), 'base64url').toString()) as Record<
    string,
    unknown
  >;
  return `luma1.${Buffer.from(JSON.stringify(change(json))).toString('base64url')}`;
}

describe('a list of relays', () => {
  it('in the repository is in order', async () => {
    const bytes = await readFile(join(ROOT, 'relay.txt'));
    const { findings } = checkRelayList(bytes, { ...RULES, nowUnixMs: Date.now() });
    assert.deepEqual(
      findings.filter(({ severity }) => severity === 'fault'),
      [],
    );
  });

  it('holds comments, empty lines and relays', async () => {
    const text = `# a comment\n\n${await makeLine()}\n${await makeLine({ port: 3479, ip6: '2606:4700::1', host: 'relay.example.org' })}\n`;
    const { relays, findings } = checkRelayList(new TextEncoder().encode(text), RULES);
    assert.deepEqual(
      relays.map(({ line, record }) => [line, record.port]),
      [
        [3, 3478],
        [4, 3479],
      ],
    );
    assert.deepEqual(findings, []);
    assert.deepEqual(check(''), []);
  });

  it('names the line of a record that is none, or altered, or not in its one form', async () => {
    const line = await makeLine();
    assert.deepEqual(check(`#\n${line}\nhello\n`), [
      'relay.txt:3: a record line is luma1. and base64url',
    ]);
    assert.match(check(`${line.slice(0, -8)}\n`)[0] ?? '', /^relay\.txt:1: ./);
    assert.deepEqual(check(`${reencode(line, (record) => ({ ...record, port: 3479 }))}\n`), [
      'relay.txt:1: the record is not signed by its node key',
    ]);
    const reordered = reencode(line, (record) =>
      Object.fromEntries(Object.entries(record).toReversed()),
    );
    assert.deepEqual(check(`${reordered}\n`), ['relay.txt:1: the record is not in canonical form']);
    assert.deepEqual(check(`${reencode(line, () => [])}\n`), [
      'relay.txt:1: fingerprint is missing or malformed',
    ]);
  });

  it('has no relay of somebody else’s key', async () => {
    const [mine, theirs] = [
      generateKeyPairSync('ed25519').privateKey,
      generateKeyPairSync('ed25519').privateKey,
    ];
    const nk = theirs.export({ format: 'jwk' }).x ?? '';
    assert.deepEqual(check(`${await makeLine({ nk }, mine)}\n`), [
      'relay.txt:1: the record is not signed by its node key',
    ]);
  });

  it('has lines that end with \\n, and nothing beside the record', async () => {
    const line = await makeLine();
    assert.deepEqual(check(line), ['relay.txt:1: the last line does not end with \\n']);
    assert.deepEqual(check(`# a\r\n${line}\r\n`), [
      'relay.txt:1: the line ends with \\r\\n: lines end with \\n',
      'relay.txt:2: the line ends with \\r\\n: lines end with \\n',
    ]);
    for (const text of [` ${line}`, `${line} `, `${line}\u00A0`, `\uFEFF${line}`, ' # a comment'])
      assert.deepEqual(check(`${text}\n`), [
        'relay.txt:1: there is blank space before or behind the record',
      ]);
    assert.deepEqual(check(`${line} # mine\n`), [
      'relay.txt:1: a line holds one record, and nothing else',
    ]);
    assert.deepEqual(check(`${line}#\n`), ['relay.txt:1: a record line is luma1. and base64url']);
  });

  it('is UTF-8, and bounded', () => {
    assert.deepEqual(check(Uint8Array.of(35, 10, 35, 0xff, 10)), [
      'relay.txt:2: the file is not UTF-8',
    ]);
    assert.deepEqual(check(Uint8Array.of(0xff)), ['relay.txt:1: the file is not UTF-8']);
    assert.deepEqual(check('#'.repeat(MAX_LIST_BYTES - 1) + '\n'), []);
    assert.match(
      check('#'.repeat(MAX_LIST_BYTES) + '\n')[0] ?? '',
      /^relay\.txt:1: the list has 1048577 bytes/,
    );
  });

  it('has no relay whose time is over or has not come, and warns before', async () => {
    const at = async (change: Partial<RelayRecord>): Promise<string[]> =>
      check(`${await makeLine(change)}\n`);
    assert.deepEqual(await at({ expires: NOW_SECONDS }), ['relay.txt:1: the record has expired']);
    assert.match(
      (await at({ expires: NOW_SECONDS + 1 }))[0] ?? '',
      /^relay\.txt:1: warning: the record expires in 0 days/,
    );
    assert.match(
      (await at({ expires: NOW_SECONDS + 30 * DAY_SECONDS - 1 }))[0] ?? '',
      /warning: the record expires in 29 days/,
    );
    assert.deepEqual(await at({ expires: NOW_SECONDS + 30 * DAY_SECONDS }), []);
    assert.deepEqual(await at({ sequence: NOW_SECONDS + 900 }), []);
    assert.match((await at({ sequence: NOW_SECONDS + 901 }))[0] ?? '', /signed in the future/);
  });

  it('has only addresses, ports and names that browsers anywhere can dial', async () => {
    const faults: readonly (readonly [Partial<RelayRecord>, RegExp])[] = [
      [{ ip: '127.0.0.1' }, /127\.0\.0\.1 is a loopback address/],
      [{ ip: '192.168.1.4' }, /is a private address/],
      [{ ip: '100.64.0.1' }, /is a private address/],
      [{ ip: '224.0.0.1' }, /is no address of a machine/],
      [{ ip: '203.0.113.10' }, /is an address for examples/],
      [{ ip: '::1' }, /is a loopback address/],
      [{ ip6: 'fe80::1' }, /fe80::1 is a private address/],
      [{ ip6: '2001:db8::10' }, /is an address for examples/],
      [{ port: 53 }, /browsers refuse port 53/],
      [{ access: 'token' }, /the relay is private/],
      [{ host: 'localhost' }, /localhost is no public DNS name/],
      [{ host: '9.9.9.9' }, /9\.9\.9\.9 is no public DNS name/],
    ];
    for (const [change, fault] of faults) {
      const findings = check(`${await makeLine(change)}\n`);
      assert.equal(findings.length, 1, findings.join('\n'));
      assert.match(findings[0] ?? '', fault);
    }
    for (const port of [80, 443, 1024])
      assert.deepEqual(check(`${await makeLine({ port })}\n`), []);
    assert.deepEqual(
      check(`${await makeLine({ ip: '203.0.113.10' })}\n`, { allowedScopes: ['documentation'] }),
      [],
    );
  });

  it('has each node key, and each address with its port, once', async () => {
    const key = generateKeyPairSync('ed25519').privateKey;
    const text = [
      await makeLine({ ip6: '2606:4700::1' }, key),
      await makeLine({ ip: '8.8.8.8' }, key),
      await makeLine(),
      await makeLine({ ip: '1.1.1.1', ip6: '2606:4700::1' }),
      await makeLine({ port: 3479 }),
      '',
    ].join('\n');
    assert.deepEqual(check(text), [
      'relay.txt:2: line 1 has the same node key',
      'relay.txt:3: line 1 has the same address and port',
      'relay.txt:4: line 1 has the same IPv6 address and port',
    ]);
  });

  it('may have relays of a mesh, which is noted', async () => {
    const text = `${await makeLine({ mesh: 'abc', meshPort: 7402 })}\n`;
    assert.match(check(text)[0] ?? '', /^relay\.txt:1: note: it is in the mesh abc/);
    assert.equal(checkRelayList(new TextEncoder().encode(text), RULES).relays.length, 1);
  });

  it('cannot make the report say what its author wants', async () => {
    const line = reencode(await makeLine(), (record) => ({
      ...record,
      'x\n::error::\u001B[2J\u202E': '',
    }));
    const [finding = ''] = check(`${line}\n`);
    assert.match(
      finding,
      /^relay\.txt:1: x\\u\{a\}::error::\\u\{1b\}\[2J\\u\{202e\} is malformed$/,
    );
  });
});

describe('dialling', () => {
  it('is done eight at once; full relays are well, and what could not be asked is a warning', async () => {
    const lines = await Promise.all(
      Array.from({ length: 20 }, (_, i) => makeLine({ port: 2000 + i })),
    );
    const { relays } = checkRelayList(new TextEncoder().encode(`${lines.join('\n')}\n`), RULES);
    let running = 0;
    let most = 0;
    const findings = await dialRelays(relays, async ({ port }): Promise<DialResult> => {
      running += 1;
      most = Math.max(most, running);
      // Later ones are faster: the report is in the order of the file all the same.
      await new Promise((resolve) => setTimeout(resolve, (2020 - port) * 2));
      running -= 1;
      return ({ 2003: 'dead', 2004: 'full', 2015: 'unknown' } as const)[port] ?? 'alive';
    });
    assert.equal(most, MAX_DIALS_AT_ONCE);
    assert.deepEqual(
      findings.map(({ line, severity }) => [line, severity]),
      [
        [4, 'fault'],
        [16, 'warning'],
      ],
    );
  });

  it('finds a relay that runs, and one that does not', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'lumamesh-list-'));
    const start = (name: string): Promise<RelayServer> => {
      const files = {
        CERT_FILE: join(folder, `${name}.crt`),
        KEY_FILE: join(folder, `${name}.key`),
        NODE_KEY: join(folder, `${name}.node`),
      };
      return RelayServer.start(
        { ...readConfig({ environment: { ...files, LISTEN_IP: '127.0.0.1' } }), udpPort: 0 },
        silentLogger,
      );
    };
    const [alive, gone] = [await start('alive'), await start('gone')];
    try {
      const file = join(folder, 'relay.txt');
      await writeFile(
        file,
        `# two\n${encodeRecordLine(alive.record)}\n${encodeRecordLine(gone.record)}\n`,
      );
      await gone.close();
      const said: string[] = [];
      const run = (...parameters: string[]): Promise<number> =>
        checkListFile([file, ...parameters], {
          allowedScopes: ['loopback'],
          say: (text) => said.push(text),
          complain: (text) => said.push(text),
        });
      assert.equal(await run('--dial'), 1);
      assert.deepEqual(said, [
        `${file}:3: nobody answers at 127.0.0.1, port ${gone.record.port} as the record says`,
        `${file}: 2 relays in order, 1 of them answered; 1 faults, 0 warnings`,
      ]);
      said.length = 0;
      assert.equal(await run('--json'), 0);
      const report = JSON.parse(said.join('\n')) as {
        ok: boolean;
        dialled: boolean;
        relays: { line: number; nk: string }[];
      };
      assert.deepEqual(
        [report.ok, report.dialled, report.relays.map(({ line }) => line)],
        [true, false, [2, 3]],
      );
      assert.equal(report.relays[0]?.nk, alive.record.nk);
    } finally {
      await alive.close();
      await rm(folder, { recursive: true });
    }
  });
});

describe('the program', () => {
  const run = (
    ...parameters: string[]
  ): { status: number | null; stdout: string; stderr: string } =>
    spawnSync(process.execPath, [TOOL, ...parameters], { cwd: ROOT, encoding: 'utf8' });

  it('reads relay.txt by default, and ends with a summary', () => {
    const { status, stdout } = run();
    assert.equal(status, 0);
    assert.match(
      stdout.trimEnd().split('\n').at(-1) ?? '',
      /^relay\.txt: \d+ relays in order; 0 faults, \d+ warnings$/,
    );
  });

  it('ends with 1 for faults, and does not print a million of them', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'lumamesh-list-'));
    try {
      const file = join(folder, 'bad.txt');
      await writeFile(file, 'x\n'.repeat(1000));
      const { status, stdout } = run(file);
      assert.equal(status, 1);
      const lines = stdout.trimEnd().split('\n');
      assert.equal(lines.length, 202);
      assert.match(lines.at(-1) ?? '', /: 0 relays in order; 1000 faults, 0 warnings$/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('ends with 2 and one line for a call that cannot be carried out', () => {
    for (const parameters of [
      ['--dail'],
      ['a', 'b'],
      ['there-is-no-such-file.txt'],
      ['--dial=yes'],
    ]) {
      const { status, stdout, stderr } = run(...parameters);
      assert.equal(status, 2, stderr);
      assert.equal(stdout, '');
      assert.match(stderr, /^check-relay-list: [^\n]+\n$/);
    }
  });
});
