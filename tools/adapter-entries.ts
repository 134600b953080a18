import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/*
 * The adapters: packages of one module each, in packages/adapters, published as `@lumamesh/…`. A new
 * one is one more row here, and a folder with package.json, README.md and src/index.ts; its build,
 * its gate of size, its tests as a package and its release follow.
 */
export interface Adapter {
  /** Of its folder, and of its files. */
  readonly name: string;
  /** Min + gzip, of its own: peers are imported. */
  readonly maxBytes: number;
}

export const ADAPTERS: readonly Adapter[] = [
  { name: 'yjs', maxBytes: 5550 },
  { name: 'tinybase', maxBytes: 1200 },
  { name: 'automerge', maxBytes: 1100 },
  { name: 'rxdb', maxBytes: 1250 },
  { name: 'trystero', maxBytes: 1200 },
];

export interface AdapterManifest {
  readonly name: string;
  readonly version: string;
  readonly peerDependencies: Readonly<Record<string, string>>;
  readonly repository: { readonly url: string; readonly directory: string };
  readonly [field: string]: unknown;
}

/** Where an adapter is, from the root of the repository. */
export function adapterFolder({ name }: Adapter): string {
  return `packages/adapters/${name}`;
}

/** Its package.json in the workspace. */
export function adapterManifest(adapter: Adapter): AdapterManifest {
  const file = join(import.meta.dirname, '..', adapterFolder(adapter), 'package.json');
  return JSON.parse(readFileSync(file, 'utf8')) as AdapterManifest;
}
