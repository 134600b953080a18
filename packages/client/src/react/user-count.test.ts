import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { UserCount } from './user-count.ts';

describe('a count of users', () => {
  it('ends the thing when the last one has let go, and not before', async () => {
    let ends = 0;
    const users = new UserCount(() => (ends += 1));
    const [first, second] = [users.take(), users.take()];
    first();
    first();
    await Promise.resolve();
    assert.equal(ends, 0, 'letting go twice is letting go once');
    second();
    assert.equal(ends, 0, 'not yet');
    await Promise.resolve();
    assert.equal(ends, 1);
  });

  it('is not ended by who takes hold again in one go, as StrictMode does', async () => {
    let ends = 0;
    const users = new UserCount(() => (ends += 1));
    users.take()();
    const release = users.take();
    await Promise.resolve();
    assert.equal(ends, 0);
    release();
    users.take()();
    await Promise.resolve();
    assert.equal(ends, 1, 'once, however often it came to nobody');
  });
});
