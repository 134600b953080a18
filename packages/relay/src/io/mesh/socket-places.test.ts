import assert from 'node:assert/strict';
import { it } from 'node:test';
import { SocketPlaces } from './socket-places.ts';

class Bench {
  readonly places = new SocketPlaces<number>(24);
  readonly closed: number[] = [];
  #next = 0;

  admit(address: string): number | null {
    const socket = this.#next++;
    const close = (): void => {
      this.closed.push(socket);
      this.places.release(socket);
    };
    return this.places.admit(socket, address, close) ? socket : null;
  }
}

it('many prefixes of one network do not keep others out, nor a few networks', () => {
  const bench = new Bench();
  for (let i = 0; i < 20; i++) for (let j = 0; j < 24; j++) bench.admit(`66.6.${i}.${j}`);
  assert.equal(bench.closed.length, 0);
  assert.equal(bench.admit('66.6.99.1'), null);
  assert.notEqual(bench.admit('20.0.0.1'), null);
  assert.equal(bench.closed.length, 1);
  for (let i = 0; i < 5; i++) for (let j = 0; j < 100; j++) bench.admit(`${70 + i}.6.${j}.1`);
  assert.notEqual(bench.admit('20.1.0.1'), null);
});

it('a relay that has proven itself is not put out', () => {
  const bench = new Bench();
  const proven = bench.admit('66.6.0.1') ?? -1;
  bench.places.prove(proven);
  for (let i = 0; i < 200; i++) bench.admit(`66.6.${i}.2`);
  for (let i = 0; i < 50; i++) bench.admit(`20.${i}.0.1`);
  assert.ok(bench.closed.length > 0 && !bench.closed.includes(proven));
});

it('one prefix has its share, and gets it back', () => {
  const bench = new Bench();
  const sockets = Array.from({ length: 24 }, (_, i) => bench.admit(`66.6.6.${i}`));
  assert.equal(bench.admit('66.6.6.99'), null);
  bench.places.release(sockets[0] ?? -1);
  assert.notEqual(bench.admit('66.6.6.99'), null);
});
