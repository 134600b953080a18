import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, it } from 'node:test';
import { LumameshError } from '@lumamesh/base';
import {
  type ConfigSources,
  listSettings,
  printConfig,
  readConfig,
  readConfigFile,
} from './config.ts';

function refused(environment: Record<string, string>, flags: ConfigSources['flags'] = {}): string {
  try {
    readConfig({ environment, flags });
  } catch (error) {
    assert.ok(error instanceof LumameshError && error.code === 'BAD_CONFIG');
    assert.ok(!error.message.includes('\n'), 'one line');
    return error.message;
  }
  throw new Error(`accepted: ${JSON.stringify(environment)}`);
}

describe('the configuration', () => {
  it('has the defaults of the contract', () => {
    const {
      publicIp,
      udpPort,
      iceUfrag,
      certFile,
      keyFile,
      nodeKey,
      maxSessions,
      maxRoomSize,
      publicHost,
      healthListen,
    } = readConfig({});
    assert.deepEqual(
      [
        publicIp,
        udpPort,
        iceUfrag,
        certFile,
        keyFile,
        nodeKey,
        maxSessions,
        maxRoomSize,
        publicHost,
        healthListen,
      ],
      [
        '127.0.0.1',
        3478,
        'luma',
        'server.crt',
        'server.key',
        'node.key',
        1000,
        250,
        undefined,
        undefined,
      ],
    );
  });

  it('takes every variable, and a flag before it; an empty variable is none', () => {
    const config = readConfig({
      environment: {
        PUBLIC_IP: '203.0.113.1',
        UDP_PORT: '443',
        HEALTH_LISTEN: '[::1]:7401',
        ICE_PWD: '',
      },
      flags: { publicIp: '203.0.113.2' },
    });
    assert.equal(config.publicIp, '203.0.113.2');
    assert.equal(config.udpPort, 443);
    assert.deepEqual(config.healthListen, { host: '::1', port: 7401 });
    assert.equal(config.icePwd, undefined);
  });

  it('takes traffic with a unit or without', () => {
    const cases = [
      ['500GB', 5e11],
      ['1 TB', 1e12],
      ['100MB', 1e8],
      ['250000000000', 2.5e11],
    ] as const;
    for (const [text, bytes] of cases)
      assert.equal(readConfig({ environment: { MONTHLY_TRAFFIC: text } }).monthlyTraffic, bytes);
  });

  it('takes the mesh by its three variables', () => {
    const { meshSalt, meshListen, meshPeers, meshFile } = readConfig({
      environment: {
        MESH_SALT: 's',
        MESH_LISTEN: '[::]:7402',
        MESH_PEERS: 'relay.example.org:7402, 192.0.2.1:1',
      },
    });
    assert.deepEqual(
      [meshSalt, meshListen, meshFile],
      ['s', { host: '::', port: 7402 }, 'mesh-relays.txt'],
    );
    assert.deepEqual(meshPeers, [
      { host: 'relay.example.org', port: 7402 },
      { host: '192.0.2.1', port: 1 },
    ]);
  });

  it('refuses what is wrong in one line that names variable, value and what is allowed', () => {
    const cases: [Record<string, string>, RegExp][] = [
      [{ PUBLIC_IP: 'example.org' }, /^PUBLIC_IP: "example.org" .* IPv4/],
      [{ PUBLIC_IP: '300.1.2.3' }, /300.1.2.3/],
      [{ PUBLIC_IP: '192.0.2.1%\r\na=x' }, /PUBLIC_IP/],
      [{ PUBLIC_IP6: '192.0.2.1' }, /^PUBLIC_IP6: .*IPv6/],
      [{ PUBLIC_HOST: 'not a name' }, /^PUBLIC_HOST/],
      [{ PUBLIC_HOST: '192.0.2.1' }, /^PUBLIC_HOST/],
      [{ UDP_PORT: '99' }, /^UDP_PORT: "99" .*1024/],
      [{ UDP_PORT: '70000' }, /^UDP_PORT/],
      [{ UDP_PORT: '3478x' }, /^UDP_PORT/],
      [{ ICE_UFRAG: 'abc' }, /^ICE_UFRAG/],
      [{ ICE_UFRAG: 'has space' }, /^ICE_UFRAG/],
      [{ HEALTH_LISTEN: '7401' }, /^HEALTH_LISTEN/],
      [{ MAX_SESSIONS: '0' }, /^MAX_SESSIONS/],
      [{ MAX_ROOM_SIZE: '-3' }, /^MAX_ROOM_SIZE/],
      [{ MAX_BANDWIDTH: '0' }, /^MAX_BANDWIDTH/],
      [{ MONTHLY_TRAFFIC: '500 G' }, /^MONTHLY_TRAFFIC: "500 G" .* such as 500GB/],
      [{ MONTHLY_TRAFFIC: '99MB' }, /^MONTHLY_TRAFFIC/],
      [{ MONTHLY_TRAFFIC: '1001TB' }, /^MONTHLY_TRAFFIC/],
      [{ MONTHLY_TRAFFIC: '1e12' }, /^MONTHLY_TRAFFIC/],
      [{ LOG_LEVEL: 'loud' }, /^LOG_LEVEL/],
      [{ MESH_SALT: 'salt', MESH_LISTEN: '7402' }, /^MESH_LISTEN: "7402" .*host:port/],
      [{ MESH_SALT: 'salt', MESH_PEERS: 'a:1,b' }, /^MESH_PEERS/],
      [{ MESH_SALT: 'salt', MESH_PEERS: 'a:0' }, /^MESH_PEERS/],
      [{ MESH_PEERS: 'a:7402' }, /MESH_PEERS is set but MESH_SALT is not/],
      [{ MESH_LISTEN: '0.0.0.0:7402' }, /MESH_LISTEN is set but MESH_SALT is not/],
      [{ LISTEN_IP: 'eth0' }, /^LISTEN_IP/],
    ];
    for (const [environment, pattern] of cases) assert.match(refused(environment), pattern);
    assert.match(refused({}, { udpPort: '1' }), /^--udp-port/);
  });

  it('does not repeat a malformed ICE password', () => {
    const message = refused({ ICE_PWD: 'secret!' });
    assert.match(message, /^ICE_PWD/);
    assert.ok(!message.includes('secret'));
  });

  it('takes a flag before the environment, that before the file, and that before the default', () => {
    const file = {
      path: 'relay.env',
      values: { UDP_PORT: '5001', MAX_SESSIONS: '7', MAX_ROOM_SIZE: '9' },
    };
    const config = readConfig({
      flags: { udpPort: '5003' },
      environment: { UDP_PORT: '5002', MAX_SESSIONS: '8', MAX_ROOM_SIZE: '' },
      file,
    });
    assert.deepEqual(
      [config.udpPort, config.maxSessions, config.maxRoomSize, config.maxMessagesPerSecond],
      [5003, 8, 9, 500],
    );
  });

  it('reads a file of settings, and refuses what is none', () => {
    const folder = mkdtempSync(join(tmpdir(), 'lumamesh-config-'));
    try {
      const path = join(folder, 'relay.env');
      writeFileSync(
        path,
        '# of the installer\nPUBLIC_IP=203.0.113.7\nexport MESH_SALT="a text with # in it"\n\nLOG_LEVEL=debug # while it is new\n',
      );
      const file = readConfigFile(path);
      assert.deepEqual(
        [
          readConfig({ file }).publicIp,
          readConfig({ file }).meshSalt,
          readConfig({ file }).logLevel,
        ],
        ['203.0.113.7', 'a text with # in it', 'debug'],
      );
      const cases: [string, RegExp][] = [
        ['UDP_PRT=5000', /relay\.env: there is no setting UDP_PRT; there are PUBLIC_IP/],
        ['MAX_SESSIONS=10\nmax sessions', /relay\.env, line 2: a line is VARIABLE=value/],
        ['MAX_SESSIONS=many', /^MAX_SESSIONS in .*relay\.env: "many" is not allowed/],
      ];
      for (const [text, pattern] of cases) {
        writeFileSync(path, text);
        assert.throws(() => readConfig({ file: readConfigFile(path) }), {
          code: 'BAD_CONFIG',
          message: pattern,
        });
      }
      assert.throws(() => readConfigFile(join(folder, 'none')), {
        code: 'BAD_CONFIG',
        message: /--config: cannot read/,
      });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('prints what it can read again, with where each value comes from, and no secret', () => {
    const folder = mkdtempSync(join(tmpdir(), 'lumamesh-config-'));
    try {
      const sources = {
        flags: { udpPort: '5003' },
        environment: {
          PUBLIC_IP: '203.0.113.7',
          MESH_SALT: 'hush hush',
          MESH_PEERS: 'a.example:1, b.example:2',
        },
      };
      const printed = printConfig(sources);
      assert.match(printed, /^UDP_PORT=5003 # flag$/m);
      assert.match(printed, /^PUBLIC_IP=203\.0\.113\.7 # environment$/m);
      assert.match(printed, /^# MAX_SESSIONS=1000$/m);
      assert.ok(!printed.includes('hush'));
      const path = join(folder, 'again.env');
      writeFileSync(path, `${printed}MESH_SALT=hush hush\n`);
      assert.deepEqual(readConfig({ file: readConfigFile(path) }), readConfig(sources));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('looks for the identity in the folder that is named, and elsewhere where a path says so', () => {
    const { certFile, keyFile, meshFile } = readConfig({
      environment: { KEY_FILE: '/elsewhere/my.key' },
      home: '/var/lib/relay',
    });
    assert.deepEqual(
      [certFile, keyFile, meshFile],
      [
        resolve('/var/lib/relay/server.crt'),
        resolve('/elsewhere/my.key'),
        resolve('/var/lib/relay/mesh-relays.txt'),
      ],
    );
  });

  it('has a flag for every variable', () => {
    for (const { variable, flag } of listSettings())
      assert.equal(flag, `--${variable.toLowerCase().replaceAll('_', '-')}`);
  });
});
