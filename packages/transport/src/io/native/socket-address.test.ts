import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { seededRandom } from '@lumamesh/testkit';
import { loadFfi } from './ffi.ts';
import { DatagramSlab, SOCKADDR, Slab } from './memory.ts';
import { AddressReader, AddressWriter } from './socket-address.ts';

const isLinux = process.platform === 'linux' && ['x64', 'arm64'].includes(process.arch);

describe('addresses of the kernel', { skip: !isLinux && 'native code is for Linux' }, () => {
  const { ffi } = loadFfi();
  const slab = new Slab(ffi, 96);

  it('are laid out as the kernel has them', () => {
    const remote = { address: '192.0.2.1', port: 0x1234 };
    slab.bytes.fill(0xff);
    assert.equal(new AddressWriter(slab, false).write(0, remote), 16);
    // family (little-endian), port and address (big-endian), padding
    assert.deepEqual(
      [...slab.bytes.subarray(0, 17)],
      [2, 0, 0x12, 0x34, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0xff],
    );
    assert.equal(new AddressWriter(slab, true).write(0, remote), 28);
    // family, port, flow label, ::ffff:192.0.2.1, scope
    assert.deepEqual(
      [...slab.bytes.subarray(0, 29)],
      [
        10,
        0,
        0x12,
        0x34,
        0,
        0,
        0,
        0,
        ...Array(10).fill(0),
        255,
        255,
        192,
        0,
        2,
        1,
        0,
        0,
        0,
        0,
        255,
      ],
    );
  });

  it('are read as they were written', () => {
    const random = seededRandom(1);
    const reader = new AddressReader(slab);
    const writer = new AddressWriter(slab, true);
    const byte = (): number => Math.floor(random() * 256);
    for (let i = 0; i < 5000; i++) {
      const address =
        i % 2 === 0
          ? Array.from({ length: 4 }, byte).join('.')
          : `2001:db8::${(1 + byte()).toString(16)}:${(1 + byte()).toString(16)}`;
      const remote = { address, port: 1 + Math.floor(random() * 65_535) };
      assert.equal(writer.write(32, remote), SOCKADDR.ipv6Bytes);
      assert.deepEqual(reader.read(32), remote);
      // Known by now, and read the same.
      assert.deepEqual(reader.read(32), remote);
    }
  });

  it('go another way when they have no form here', () => {
    for (const [address, port] of [
      ['fe80::1%eth0', 9],
      ['not an address', 9],
      ['', 9],
      ['127.0.0.1', 0],
      ['127.0.0.1', 65_536],
      ['127.0.0.1', -1],
      ['127.0.0.1', Number.NaN],
      ['999.0.0.1', 9],
    ] as const)
      for (const isV6 of [true, false])
        assert.equal(new AddressWriter(slab, isV6).write(0, { address, port }), 0, address);
    assert.equal(new AddressWriter(slab, false).write(0, { address: '2001:db8::1', port: 9 }), 0);
  });

  it('of any bytes are read without harm', () => {
    const random = seededRandom(2);
    const reader = new AddressReader(slab);
    for (let i = 0; i < 5000; i++) {
      for (let at = 0; at < 28; at++) slab.bytes[at] = Math.floor(random() * 256);
      slab.bytes[0] = i % 4 === 0 ? 2 : 10;
      slab.bytes[1] = 0;
      const remote = reader.read(0);
      assert.ok(remote !== null && remote.address !== '');
    }
    slab.bytes[0] = 1;
    assert.equal(reader.read(0), null);
  });

  it('and lengths in a slab of datagrams stay within it', () => {
    const datagrams = new DatagramSlab(ffi, 4, 100);
    datagrams.setLengths(3, 28, 100);
    for (const [i, nameBytes, byteCount] of [
      [4, 28, 1],
      [-1, 28, 1],
      [0, 33, 1],
      [0, 28, 101],
    ] as const)
      assert.throws(() => datagrams.setLengths(i, nameBytes, byteCount), RangeError);
    assert.throws(() => datagrams.headersFrom(4), RangeError);
    assert.equal(datagrams.payload(3, 1000).length, 100);
    assert.equal(datagrams.payloadAt(3) + 100, datagrams.slab.bytes.length);
  });
});
