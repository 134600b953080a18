import assert from 'node:assert/strict';
import { registerHooks } from 'node:module';
import { describe, it } from 'node:test';
// With its WebAssembly, which the suite does not load by itself.
import '@automerge/automerge-repo';
import type { NetworkAdapterInterface } from '@automerge/automerge-repo';
import { makeMemoryRoom } from '@lumamesh/testkit';
import type { Room } from 'lumamesh';
import { LumameshNetworkAdapter } from './index.ts';

/*
 * The acceptance tests for network adapters that Automerge ships. They ask for Vitest, whose
 * `describe`, `it` and `expect(…)` are those of node:test and assert here.
 */
type Run = () => Promise<void>;

interface Setup {
  readonly adapters: readonly NetworkAdapterInterface[];
  readonly teardown: () => void;
}

const names: string[] = [];
Object.assign(globalThis, {
  vitest: {
    describe,
    it: (name: string, run: Run) => {
      names.push(name);
      it(name, run);
    },
    expect: (value: unknown) => ({
      toMatchObject: (expected: object) => assert.partialDeepStrictEqual(value, expected),
    }),
  },
});
registerHooks({
  resolve: (specifier, context, next) =>
    specifier === 'vitest'
      ? {
          url: 'data:text/javascript,export const { describe, it, expect } = globalThis.vitest;',
          shortCircuit: true,
        }
      : next(specifier, context),
});
const { runNetworkAdapterTests } =
  (await import('@automerge/automerge-repo/helpers/tests/network-adapter-tests.js')) as {
    runNetworkAdapterTests: (setup: () => Promise<Setup>, title: string) => void;
  };

runNetworkAdapterTests(async () => {
  const join = makeMemoryRoom();
  const rooms = ['a', 'b', 'c'].map(join);
  const adapters = rooms.map((room) => new LumameshNetworkAdapter(room as unknown as Room));
  return {
    adapters,
    teardown: () => {
      for (const adapter of adapters) adapter.disconnect();
    },
  };
}, '@lumamesh/automerge');

it('the shipped suite is there', () => assert.ok(names.length >= 7));
