import { chooseIoPath, nodeCrypto } from '@lumamesh/transport/io';

/*
 * `node bench/native.ts -- [rounds]`: what a call costs by native code and by Node's own modules,
 * by turns; medians, as JSON. Microseconds of user and system time.
 */
const CALLS = 20_000;
const WARM_UP_CALLS = 5000;

function microsecondsOf(call: () => void): number {
  const before = process.cpuUsage();
  for (let i = 0; i < CALLS; i++) call();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / CALLS;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return Math.round((sorted[sorted.length >> 1] ?? Number.NaN) * 100) / 100;
}

const { name, reason, crypto } = chooseIoPath('auto');
if (name === 'node') throw new Error(`there is no native path here: ${reason}`);
const paths = { native: crypto, node: nodeCrypto };
const nonce = new Uint8Array(12);
const aad = new Uint8Array(13);
const calls = new Map<string, () => void>();
for (const [path, source] of Object.entries(paths)) {
  const aead = source.createAead('aes-128-gcm', new Uint8Array(16));
  for (const length of [40, 300, 1200]) {
    const plaintext = new Uint8Array(length);
    const sealed = new Uint8Array(length + 16);
    aead.seal(nonce, aad, plaintext, sealed, 0);
    const out = new Uint8Array(length + 16);
    calls.set(`seal ${length} B, ${path}`, () => aead.seal(nonce, aad, plaintext, out, 0));
    calls.set(`open ${length} B, ${path}`, () => void aead.open(nonce, aad, sealed));
  }
}
for (const [path, source] of Object.entries(paths)) {
  const [key, data] = [new Uint8Array(32), new Uint8Array(80)];
  calls.set(`HMAC-SHA256 of 80 B, ${path}`, () => void source.hmac('sha256', key, data));
  const mask = source.createRecordMask('aes-128-gcm', new Uint8Array(16));
  calls.set(`mask of a record number, ${path}`, () => void mask.mask(new Uint8Array(16)));
}
const rounds = Number(process.argv.at(-1)) || 5;
const samples = new Map<string, number[]>();
for (const call of calls.values()) for (let i = 0; i < WARM_UP_CALLS; i++) call();
for (let round = 0; round < rounds; round++)
  for (const [what, call] of calls)
    samples.set(what, [...(samples.get(what) ?? []), microsecondsOf(call)]);
const result = Object.fromEntries([...samples].map(([what, values]) => [what, median(values)]));
process.stdout.write(`${JSON.stringify({ rounds, microseconds: result }, null, 2)}\n`);
