import { openSync, read, writeSync } from 'node:fs';
import { DynamicLibrary, getRawPointer } from 'node:ffi';

/*
 * A wire that takes time, for networks in namespaces: `delay-line.ts <ms> <device> <device>` makes two TUN devices and passes what
 * is sent to one on to the other, so much later. It tells its parent when both are there, and ends with it. (`tc netem` would do
 * the same; not every kernel has it.)
 */

/** linux/if_tun.h: the same number on all architectures that we run on. */
const TUNSETIFF = 0x40_04_54_ca;
const IFF_TUN = 0x0001;
const IFF_NO_PI = 0x1000;
/** struct ifreq of netdevice(7): a name, and a union that begins with the flags. */
const IFREQ_BYTES = 40;
const NAME_BYTES = 16;
const MAX_PACKET_BYTES = 65_536;

const { ioctl } = new DynamicLibrary(null).getFunctions({
  ioctl: { return: 'int32', arguments: ['int32', 'uint64', 'pointer'] },
});

/** Makes a TUN device. Answers its file descriptor. */
function makeDevice(name: string): number {
  const descriptor = openSync('/dev/net/tun', 'r+');
  const request = Buffer.alloc(IFREQ_BYTES);
  request.write(name.slice(0, NAME_BYTES - 1));
  request.writeUInt16LE(IFF_TUN | IFF_NO_PI, NAME_BYTES);
  if (ioctl(descriptor, BigInt(TUNSETIFF), getRawPointer(request)) !== 0)
    throw new Error(`no TUN device ${name}`);
  return descriptor;
}

/** What is sent to one device comes out of the other, later. Reads wait in a thread of Node's pool. */
function pass(from: number, to: number, delayMs: number): void {
  const packet = Buffer.alloc(MAX_PACKET_BYTES);
  const next = (): void =>
    read(from, packet, 0, packet.length, null, (error, length) => {
      if (error === null) {
        const copy = Buffer.from(packet.subarray(0, length));
        setTimeout(() => {
          try {
            writeSync(to, copy);
          } catch {
            // The device is down, as a wire is that somebody has pulled.
          }
        }, delayMs);
      }
      // A device that is down has nothing to read.
      if (error === null) next();
      else setTimeout(next, 10);
    });
  next();
}

const [delay, first = '', second = ''] = process.argv.slice(2);
const [one, other] = [makeDevice(first), makeDevice(second)];
pass(one, other, Number(delay));
pass(other, one, Number(delay));
process.on('disconnect', () => process.exit());
process.send?.('ready');
