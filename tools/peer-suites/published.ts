import { spawnSync } from 'node:child_process';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import type { Checkout } from './checkout.ts';

const ROOT = join(import.meta.dirname, '../..');
const WITH_RELAY = join(import.meta.dirname, 'with-relay.ts');

/** Puts the library and an adapter, as they are published, beside what the suite imports. */
export function addPublished(checkout: Checkout, adapter: string): void {
  build('build-client.ts', '--scripts');
  build('build-adapters.ts', adapter, '--scripts');
  const modules = checkout.path('node_modules');
  cpSync(join(ROOT, 'packages/client/dist'), join(modules, 'lumamesh'), { recursive: true });
  const built = join(ROOT, 'packages/adapters', adapter, 'dist');
  cpSync(built, join(modules, '@lumamesh', adapter), { recursive: true });
}

function build(program: string, ...parameters: readonly string[]): void {
  const command = [join(ROOT, 'tools', program), ...parameters];
  const { status, stderr } = spawnSync(process.execPath, command, { cwd: ROOT, encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
}

/** A command with a relay of its own, whose line stands in LUMAMESH_RELAY. */
export function withRelay(...command: readonly string[]): readonly string[] {
  return [process.execPath, WITH_RELAY, ...command];
}
