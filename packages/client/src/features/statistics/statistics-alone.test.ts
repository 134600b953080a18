import assert from 'node:assert/strict';
import { registerHooks } from 'node:module';
import { describe, it } from 'node:test';
import { LumameshError, instant } from '@lumamesh/base';
import type { NetHandle, PeerHandle } from '../../feature.ts';
import { statistics } from './statistics.ts';

/* A page that has lumamesh.js and nothing beside it. */

let asked = 0;
registerHooks({
  resolve: (specifier, context, next) => {
    if (!specifier.endsWith('statistics-help.ts')) return next(specifier, context);
    asked++;
    throw new TypeError('blocked by the policy of the page');
  },
});

const platform = { now: () => instant(1) };

describe('statistics whose file cannot be loaded', () => {
  it('say what is known of a peer without it', async () => {
    const peer = {
      platform,
      state: 'open',
      isOpen: true,
      isDirect: false,
      rttMs: 5,
      bufferedAmount: 6,
      connection: null,
    } as unknown as PeerHandle;
    const { stats } = (statistics().peer?.(peer).api ?? {}) as {
      readonly stats: () => Promise<unknown>;
    };
    const known = { state: 'open', path: 'forwarded', rttMs: 5, bufferedAmount: 6 };
    assert.deepEqual(await stats(), known);
    assert.equal(asked, 1);
  });

  it('report the state of the net and its code, in no words of errors', async () => {
    const error = new LumameshError('RELAY_LOST', 'planted');
    const net = {
      platform,
      status: { state: 'offline', code: 'RELAYS_UNREACHABLE', text: 'planted', relays: [] },
      on: (event: string, listener: (value: unknown) => void) =>
        listener(event === 'error' ? error : { relays: [{ error }, { error: null }] }),
    } as unknown as NetHandle;
    const { report } = (statistics().net?.(net).api ?? {}) as {
      readonly report: () => Promise<string>;
    };
    assert.equal(await report(), 'offline RELAYS_UNREACHABLE');
    assert.ok(asked > 0);
  });
});
