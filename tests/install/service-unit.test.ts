import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { listSettings } from '../../packages/relay/src/io/config/config.ts';
import { whyNoRoot } from './root.ts';

const CHECKOUT = join(import.meta.dirname, '../..');
const UNIT = join(CHECKOUT, 'deploy/lumamesh-relay.service');
const MAX_EXPOSURE = 2;
const skip = whyNoRoot(['systemd-analyze', 'unshare']) ?? false;

describe('deploy/lumamesh-relay.service', () => {
  it('is verified by systemd without a line of complaint', { skip }, () => {
    // The program has to be there: in a mount namespace of our own it is.
    const script =
      'mount -t tmpfs tmpfs /opt && mkdir /opt/lumamesh && cp /bin/true /opt/lumamesh/lumamesh-relay && exec systemd-analyze verify "$1"';
    const { status, stdout, stderr } = spawnSync(
      'unshare',
      ['--mount', '--propagation', 'private', 'sh', '-c', script, '-', UNIT],
      { encoding: 'utf8' },
    );
    assert.deepEqual({ status, text: stdout + stderr }, { status: 0, text: '' });
  });

  it('exposes no more than 2.0', { skip }, () => {
    const { stdout, stderr } = spawnSync(
      'systemd-analyze',
      ['security', '--offline=true', '--no-pager', UNIT],
      { encoding: 'utf8' },
    );
    const exposure = Number(
      /Overall exposure level for lumamesh-relay\.service: ([\d.]+)/.exec(stdout)?.[1],
    );
    assert.ok(exposure <= MAX_EXPOSURE, stdout + stderr);
  });
});

describe('install.sh', () => {
  it('knows every setting of the relay', async () => {
    const text = await readFile(join(CHECKOUT, 'install.sh'), 'utf8');
    const known = /^SETTINGS=\(([^)]*)\)/m.exec(text)?.[1]?.split(/\s+/) ?? [];
    assert.deepEqual(
      known.toSorted(),
      listSettings()
        .map(({ variable }) => variable)
        .toSorted(),
    );
  });
});
