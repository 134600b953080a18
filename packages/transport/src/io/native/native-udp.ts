import { closeSync } from 'node:fs';
import { getSystemErrorName } from 'node:util';
import { shortLivedCopy } from '@lumamesh/base';
import type { Remote } from '../../five-tuple.ts';
import { type Ffi, INTEGER, type Library, integer } from './ffi.ts';
import { DatagramSlab, type Guarded, NULL, SOCKADDR, Slab } from './memory.ts';
import { AF_INET, AF_INET6, AddressReader, AddressWriter } from './socket-address.ts';

/* Constants of Linux, the same on x64 and arm64. */
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;
const MSG_DONTWAIT = 0x40n;
const EINTR = 4;
const EAGAIN = 11;
const ENOMEM = 12;
const ENOBUFS = 105;

/** Datagrams of one call; so many wait at most between two of them. */
const BATCH = 64;
/** Larger than what fits into a frame of Ethernet; what is longer goes by Node's socket. */
const MAX_SENT_BYTES = 1536;
/** Longer than what an endpoint takes: what was cut off does not pass for a whole datagram. */
const MAX_RECEIVED_BYTES = 4608;

/** What `sendmmsg` made of the datagrams it was given. */
export interface SendOutcome {
  /** Those that the kernel has no room for now, in order: copies, to be sent another way. */
  readonly left: readonly { readonly remote: Remote; readonly data: Uint8Array }[];
  /** Of datagrams that can never be sent. */
  readonly errors: readonly NodeJS.ErrnoException[];
}

const ALL_SENT: SendOutcome = { left: [], errors: [] };

/** UDP by `sendmmsg` and `recvmmsg`. Throws when the process lacks one of them. */
export class NativeUdp {
  readonly #ffi: Ffi;
  readonly #libc: Libc;
  readonly #errno: bigint;
  readonly #name: Slab;

  constructor(ffi: Ffi, library: Library) {
    this.#ffi = ffi;
    this.#libc = libcOf(library);
    // Of this thread, for as long as it lives.
    this.#errno = this.#libc.__errno_location();
    this.#name = new Slab(ffi, SOCKADDR.ipv6Bytes + 4);
  }

  /**
   * Makes a socket and binds it to a numeric address.
   * @param isShared whether others may be bound to the same port, if they say so, too
   * @returns Its descriptor, which is the caller's to close, or `null` when that fails: Node's own
   * socket, bound to the same, says why.
   */
  bind(remote: Remote, isV6: boolean, isDualStack: boolean, isShared = false): number | null {
    const length = new AddressWriter(this.#name, isV6).write(0, {
      ...remote,
      port: remote.port || 1,
    });
    if (length === 0) return null;
    // Port 0, which the writer refuses as a destination, asks for any port that is free.
    this.#name.view.setUint16(SOCKADDR.port, remote.port);
    const type = SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    const descriptor = this.#libc.socket(isV6 ? AF_INET6 : AF_INET, type, 0);
    if (descriptor < 0) return null;
    const isSet =
      (!isV6 || this.#setFlag(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, !isDualStack)) &&
      (!isShared || this.#setFlag(descriptor, SOL_SOCKET, SO_REUSEADDR, true));
    if (isSet && this.#libc.bind(descriptor, this.#name.pointer(0, length), length) === 0)
      return descriptor;
    closeSync(descriptor);
    return null;
  }

  #setFlag(descriptor: number, level: number, name: number, value: boolean): boolean {
    const at = SOCKADDR.ipv6Bytes;
    this.#name.view.setInt32(at, value ? 1 : 0, true);
    return this.#libc.setsockopt(descriptor, level, name, this.#name.pointer(at, 4), 4) === 0;
  }

  /** The port that a socket is bound to; 0 when the kernel does not say. */
  portOf(descriptor: number): number {
    const length = SOCKADDR.ipv6Bytes;
    this.#name.view.setUint32(length, length, true);
    const pointers = [this.#name.pointer(0, length), this.#name.pointer(length, 4)] as const;
    const isKnown = this.#libc.getsockname(descriptor, ...pointers) === 0;
    return isKnown ? this.#name.view.getUint16(SOCKADDR.port) : 0;
  }

  /** Sends and receives on a descriptor, for as long as its owner has it open. */
  socket(descriptor: number, isV6: boolean): NativeSocket {
    return new NativeSocket(this.#ffi, this.#libc, this.#errno, descriptor, isV6);
  }
}

/** The two ways of one socket, each with a slab of its own. */
export class NativeSocket implements Guarded {
  readonly #ffi: Ffi;
  readonly #libc: Libc;
  readonly #errno: bigint;
  readonly #descriptor: bigint;
  readonly #isV6: boolean;
  readonly #out: DatagramSlab;
  readonly #in: DatagramSlab;
  readonly #writer: AddressWriter;
  readonly #reader: AddressReader;
  readonly #remotes: Remote[] = [];
  readonly #lengths: number[] = [];

  constructor(ffi: Ffi, libc: Libc, errno: bigint, descriptor: number, isV6: boolean) {
    this.#ffi = ffi;
    this.#libc = libc;
    this.#errno = errno;
    this.#descriptor = integer(descriptor);
    this.#isV6 = isV6;
    this.#out = new DatagramSlab(ffi, BATCH, MAX_SENT_BYTES);
    this.#in = new DatagramSlab(ffi, BATCH, MAX_RECEIVED_BYTES);
    this.#writer = new AddressWriter(this.#out.slab, isV6);
    this.#reader = new AddressReader(this.#in.slab);
    this.#makeRoom(BATCH);
  }

  /** Whether nothing has written beside its memory. */
  isIntact(): boolean {
    return this.#out.slab.isIntact && this.#in.slab.isIntact;
  }

  /** Whether one more datagram can wait for {@link flush}. */
  get hasRoom(): boolean {
    return this.#remotes.length < BATCH;
  }

  /**
   * Copies a datagram into the slab, to be sent by {@link flush}.
   * @returns False for one that has to go another way: too long, or to an address of another form.
   */
  add(remote: Remote, data: Uint8Array): boolean {
    const i = this.#remotes.length;
    if (i >= BATCH || data.length > MAX_SENT_BYTES) return false;
    const nameBytes = this.#writer.write(this.#out.nameAt(i), remote);
    if (nameBytes === 0) return false;
    this.#out.setLengths(i, nameBytes, data.length);
    this.#out.slab.bytes.set(data, this.#out.payloadAt(i));
    this.#remotes.push(remote);
    this.#lengths.push(data.length);
    return true;
  }

  /** Hands all that was added to the kernel. */
  flush(): SendOutcome {
    const count = this.#remotes.length;
    if (count === 0) return ALL_SENT;
    const errors: NodeJS.ErrnoException[] = [];
    let done = 0;
    // Each turn gets one further, or ends: whatever errno says.
    while (done < count) {
      const sent = this.#libc.sendmmsg(
        this.#descriptor,
        this.#out.headersFrom(done),
        integer(count - done),
        MSG_DONTWAIT,
      );
      if (sent > 0) done += Math.min(sent, count - done);
      else {
        const errno = sent < 0 ? this.#lastErrno() : EAGAIN;
        if (errno === EAGAIN || errno === ENOBUFS || errno === ENOMEM || errno === EINTR) break;
        errors.push(errorOf(errno));
        done += 1;
      }
    }
    const outcome =
      done === count && errors.length === 0 ? ALL_SENT : { left: this.#copies(done), errors };
    this.#remotes.length = 0;
    this.#lengths.length = 0;
    return outcome;
  }

  /**
   * Takes what has arrived, one call's worth at most, without waiting.
   * @param onDatagram is given a copy of a short life; false ends.
   * @returns Whether there may be more.
   */
  receive(onDatagram: (remote: Remote, data: Uint8Array) => boolean): boolean {
    const count = Math.min(
      BATCH,
      this.#libc.recvmmsg(
        this.#descriptor,
        this.#in.headersFrom(0),
        integer(BATCH),
        MSG_DONTWAIT,
        NULL,
      ),
    );
    let isWanted = true;
    for (let i = 0; i < count && isWanted; i++) {
      const remote = this.#reader.read(this.#in.nameAt(i));
      // Port 0 can be forged but not sent to.
      if (remote === null || remote.port === 0) continue;
      isWanted = onDatagram(remote, shortLivedCopy(this.#in.payload(i, this.#in.receivedBytes(i))));
    }
    this.#makeRoom(count);
    return count === BATCH && isWanted;
  }

  /** The kernel has written over how long the addresses may be. */
  #makeRoom(count: number): void {
    const nameBytes = this.#isV6 ? SOCKADDR.ipv6Bytes : SOCKADDR.ipv4Bytes;
    for (let i = 0; i < count; i++) this.#in.setLengths(i, nameBytes, MAX_RECEIVED_BYTES);
  }

  /**
   * The error of the call before. Something of the runtime's may have set it in between: so nothing
   * depends on it but which of two harmless things is done.
   */
  #lastErrno(): number {
    return this.#ffi.getInt32(this.#errno);
  }

  #copies(from: number): { remote: Remote; data: Uint8Array }[] {
    return this.#remotes.slice(from).map((remote, i) => ({
      remote,
      data: this.#out.payload(from + i, this.#lengths[from + i] ?? 0).slice(),
    }));
  }
}

function errorOf(errno: number): NodeJS.ErrnoException {
  const code = errno > 0 ? getSystemErrorName(-errno) : 'UNKNOWN';
  return Object.assign(new Error(`sendmmsg: ${code}`), {
    code,
    errno: -errno,
    syscall: 'sendmmsg',
  });
}

type Libc = ReturnType<typeof libcOf>;

function libcOf(library: Library) {
  return library.getFunctions({
    socket: { arguments: ['i32', 'i32', 'i32'], return: 'i32' },
    bind: { arguments: ['i32', 'pointer', 'u32'], return: 'i32' },
    getsockname: { arguments: ['i32', 'pointer', 'pointer'], return: 'i32' },
    setsockopt: { arguments: ['i32', 'i32', 'i32', 'pointer', 'u32'], return: 'i32' },
    sendmmsg: { arguments: [INTEGER, 'pointer', INTEGER, INTEGER], return: 'i32' },
    recvmmsg: { arguments: [INTEGER, 'pointer', INTEGER, INTEGER, 'pointer'], return: 'i32' },
    __errno_location: { arguments: [], return: 'pointer' },
  });
}
