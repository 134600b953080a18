import type { SyncCrypto } from '@lumamesh/base';
import { loadFfi } from './native/ffi.ts';
import { nativeAeads } from './native/native-aead.ts';
import { nativeHmacs } from './native/native-hmac.ts';
import { NativeUdp } from './native/native-udp.ts';
import { aeadFault, hmacFault, maskFault } from './native/self-test.ts';
import { udpFault } from './native/udp-self-test.ts';
import { nodeCrypto } from './node-crypto.ts';

/** What carries datagrams and computes: Node's own modules, or native code where it can be had. */
export interface IoPath {
  readonly name: 'native' | 'node';
  /** Why it is not native, for the operator; empty when it is. */
  readonly reason: string;
  readonly crypto: SyncCrypto;
  /** Of the native path only. */
  readonly udp: NativeUdp | null;
}

export type NativeIoSetting = 'auto' | 'off';

/** The path is the process's: its memory is made, and tested, once. */
let native: IoPath | null = null;

/**
 * Chooses the path: `auto` is native where it is there and passes its own test (ADR 63), otherwise
 * everything works as well on Node's own modules. Never throws.
 */
export function chooseIoPath(setting: NativeIoSetting): IoPath {
  if (setting === 'off') return nodePath('NATIVE_IO is off');
  native ??= openNative();
  return native;
}

function nodePath(reason: string): IoPath {
  return { name: 'node', reason, crypto: nodeCrypto, udp: null };
}

function openNative(): IoPath {
  try {
    const { ffi, library } = loadFfi();
    const aeads = nativeAeads(ffi, library, nodeCrypto);
    const hmacs = nativeHmacs(ffi, library, nodeCrypto);
    const udp = new NativeUdp(ffi, library);
    const fault =
      aeadFault(aeads, nodeCrypto) ??
      maskFault(aeads, nodeCrypto) ??
      hmacFault(hmacs, nodeCrypto) ??
      udpFault(udp) ??
      (aeads.isIntact() && hmacs.isIntact() ? null : 'native code writes beside its memory');
    if (fault !== null) return nodePath(fault);
    const { createAead, createRecordMask } = aeads;
    const { hmac } = hmacs;
    const crypto = { ...nodeCrypto, createAead, createRecordMask, hmac };
    return { name: 'native', reason: '', crypto, udp };
  } catch (error) {
    return nodePath((error as Error).message);
  }
}
