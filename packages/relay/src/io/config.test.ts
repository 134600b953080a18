import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LumameshError } from '@lumamesh/base';
import { listSettings, readConfig } from './config.ts';

function refused(environment: Record<string, string>, flags: Parameters<typeof readConfig>[1] = {}): string {
  try {
    readConfig(environment, flags);
  } catch (error) {
    assert.ok(error instanceof LumameshError && error.code === 'BAD_CONFIG');
    assert.ok(!error.message.includes('\n'), 'one line');
    return error.message;
  }
  throw new Error(`accepted: ${JSON.stringify(environment)}`);
}

describe('the configuration', () => {
  it('has the defaults of the contract', () => {
    const { publicIp, udpPort, iceUfrag, certFile, keyFile, nodeKey, maxSessions, maxRoomSize, publicHost, healthListen } = readConfig({}, {});
    assert.deepEqual(
      [publicIp, udpPort, iceUfrag, certFile, keyFile, nodeKey, maxSessions, maxRoomSize, publicHost, healthListen],
      ['127.0.0.1', 3478, 'luma', 'server.crt', 'server.key', 'node.key', 1000, 250, undefined, undefined],
    );
  });

  it('takes every variable, and a flag before it; an empty variable is none', () => {
    const config = readConfig({ PUBLIC_IP: '203.0.113.1', UDP_PORT: '443', HEALTH_LISTEN: '[::1]:7401', ICE_PWD: '' }, { publicIp: '203.0.113.2' });
    assert.equal(config.publicIp, '203.0.113.2');
    assert.equal(config.udpPort, 443);
    assert.deepEqual(config.healthListen, { host: '::1', port: 7401 });
    assert.equal(config.icePwd, undefined);
  });

  it('takes the mesh by its three variables', () => {
    const { meshSalt, meshListen, meshPeers, meshFile } = readConfig(
      { MESH_SALT: 's', MESH_LISTEN: '[::]:7402', MESH_PEERS: 'relay.example.org:7402, 192.0.2.1:1' },
      {},
    );
    assert.deepEqual([meshSalt, meshListen, meshFile], ['s', { host: '::', port: 7402 }, 'mesh-relays.txt']);
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

  it('has a flag for every variable', () => {
    for (const { variable, flag } of listSettings()) assert.equal(flag, `--${variable.toLowerCase().replaceAll('_', '-')}`);
  });
});
