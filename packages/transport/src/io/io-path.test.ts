import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { chooseIoPath } from './io-path.ts';
import { nodeCrypto } from './node-crypto.ts';

const isLinux = process.platform === 'linux' && ['x64', 'arm64'].includes(process.arch);
const CHOICE = `
  const { chooseIoPath } = await import(${JSON.stringify(new URL('io-path.ts', import.meta.url).href)});
  const { name, reason } = chooseIoPath('auto');
  console.log(JSON.stringify({ name, reason }));
`;

/** The choice of another process, which warns of nothing. */
function choiceOf(...parameters: string[]): unknown {
  const { stdout, stderr } = spawnSync(
    process.execPath,
    [...parameters, '--input-type=module', '--eval', CHOICE],
    { encoding: 'utf8' },
  );
  assert.equal(stderr, '');
  return JSON.parse(stdout);
}

describe('the I/O path', () => {
  it('is native where that can be had, and made once', () => {
    const path = chooseIoPath('auto');
    assert.deepEqual([path.name, path.reason], isLinux ? ['native', ''] : ['node', path.reason]);
    assert.equal(chooseIoPath('auto'), path);
  });

  it("is Node's own when it is turned off", () => {
    assert.deepEqual(chooseIoPath('off'), {
      name: 'node',
      reason: 'NATIVE_IO is off',
      crypto: nodeCrypto,
      udp: null,
    });
  });

  it("is Node's own when native code is not permitted, or not known to the runtime", () => {
    if (!isLinux) return;
    assert.deepEqual(choiceOf('--permission', '--allow-fs-read=*'), {
      name: 'node',
      reason: 'Access to this API has been restricted. Use --allow-ffi to manage permissions.',
    });
    assert.deepEqual(choiceOf('--no-experimental-ffi'), {
      name: 'node',
      reason: `Node ${process.version} has no node:ffi`,
    });
    assert.deepEqual(choiceOf(), { name: 'native', reason: '' });
  });
});
