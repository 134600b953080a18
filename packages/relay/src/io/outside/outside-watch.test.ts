import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { SignedRelayRecord } from '@lumamesh/protocol';
import { silentLogger } from '../log.ts';
import { OutsideWatch } from './outside-watch.ts';

it('a session from elsewhere shows that the address of the record is reached, if it is of the same IP', () => {
  const verdictOf = (ip: string, visitor: string): string => {
    const watch = new OutsideWatch({
      log: silentLogger,
      record: () => ({ ip }) as unknown as SignedRelayRecord,
      helpers: () => [],
      listenIp: undefined,
    });
    watch.handleSession(visitor);
    watch.stop();
    return watch.stats.verdict;
  };
  assert.equal(verdictOf('8.8.4.4', '1.1.1.1'), 'reached');
  assert.equal(verdictOf('8.8.4.4', '2606:4700::1111'), 'unknown');
  assert.equal(verdictOf('2001:4860::8844', '2606:4700::1111'), 'reached');
  assert.equal(verdictOf('2001:4860::8844', '1.1.1.1'), 'unknown');
});
