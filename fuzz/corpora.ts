import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/*
 * Inputs that are kept: of each target a corpus that takes all branches known, small and without
 * what others make superfluous, and every input that ever broke something (a find).
 */
const CORPORA = join(import.meta.dirname, '../fixtures/corpora');
const FINDS = join(import.meta.dirname, '../fixtures/finds');

export type Input = Uint8Array<ArrayBuffer>;

export function loadCorpus(target: string): readonly Input[] {
  const path = join(CORPORA, `${target}.txt`);
  return existsSync(path) ? linesOf(path) : [];
}

export function saveCorpus(target: string, inputs: readonly Input[]): void {
  mkdirSync(CORPORA, { recursive: true });
  writeLines(join(CORPORA, `${target}.txt`), inputs);
}

/** Finds of a target: the name of each, and its input. */
export function loadFinds(target: string): readonly (readonly [string, Input])[] {
  if (!existsSync(FINDS)) return [];
  return readdirSync(FINDS)
    .filter((file) => file.startsWith(`${target}.`))
    .flatMap((file) => linesOf(join(FINDS, file)).map((input) => [file, input] as const));
}

/** Keeps an input that broke something; to be renamed after what it showed. Returns its path. */
export function saveFind(target: string, name: string, input: Input): string {
  mkdirSync(FINDS, { recursive: true });
  const path = join(FINDS, `${target}.${name}.txt`);
  writeLines(path, [input]);
  return path;
}

function linesOf(path: string): readonly Input[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => Uint8Array.from(Buffer.from(line, 'base64')));
}

function writeLines(path: string, inputs: readonly Input[]): void {
  writeFileSync(path, inputs.map((input) => `${Buffer.from(input).toString('base64')}\n`).join(''));
}
