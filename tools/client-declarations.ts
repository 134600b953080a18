import { execFileSync } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import typescript from '@typescript/typescript6';
import { type Plugin, rollup } from 'rollup';
import { dts } from 'rollup-plugin-dts';
import { INTERNAL_NAMES, namesOf } from './client-bundle.ts';
import { ENTRIES } from './client-entries.ts';
import { TSC } from './compiler.ts';

const ROOT = join(import.meta.dirname, '..');
/** What declarations may import; everything else is rolled into them. */
const EXTERNAL = /^react$/;
/** Where the declarations of our packages begin, in the tree that the compiler writes. */
const PACKAGES: Readonly<Record<string, string>> = {
  '@lumamesh/base': 'base/src/index',
  '@lumamesh/protocol': 'protocol/src/index',
  '@lumamesh/transport': 'transport/src/index',
  '@lumamesh/transport/io': 'transport/src/io/index',
};

/**
 * The declarations of each entry in one text that needs no other file, by the entry's file. They
 * are alike in shape: what one entry gives, another takes.
 */
export async function declareEntries(): Promise<ReadonlyMap<string, string>> {
  const tree = mkdtempSync(join(tmpdir(), 'lumamesh-types-'));
  try {
    const parameters = [TSC, '-p', 'tsconfig.client-types.json', '--outDir', tree];
    execFileSync(process.execPath, parameters, { cwd: ROOT, stdio: 'inherit' });
    for (const file of globSync('**/*.d.ts', { cwd: tree })) {
      const path = join(tree, file);
      writeFileSync(path, withoutInternals(readFileSync(path, 'utf8')));
    }
    const declarations = new Map<string, string>();
    for (const entry of ENTRIES) {
      const input = join(tree, 'client/src', declarationOf(entry.source));
      const rolled = await rollUp(tree, input, EXTERNAL);
      declarations.set(entry.file, withValues(rolled, await namesOf(entry)));
    }
    return declarations;
  } finally {
    rmSync(tree, { recursive: true, force: true });
  }
}

const declarationOf = (source: string): string => source.replace(/\.tsx?$/, '.d.ts');

/**
 * Without members that the published files call by shorter names, and without the mark of private
 * ones: by it each entry's declaration of a class would be a type of its own.
 */
export function withoutInternals(text: string): string {
  const file = typescript.createSourceFile('a.d.ts', text, typescript.ScriptTarget.Latest);
  const ranges: (readonly [start: number, end: number])[] = [];
  const visit = (node: typescript.Node): void => {
    const name =
      typescript.isClassElement(node) || typescript.isTypeElement(node)
        ? node.name?.getText(file)
        : undefined;
    if (name !== undefined && (name === '#private' || INTERNAL_NAMES.test(name)))
      ranges.push([node.getFullStart(), node.getEnd()]);
    else typescript.forEachChild(node, visit);
  };
  visit(file);
  return ranges.reduceRight((rest, [from, to]) => rest.slice(0, from) + rest.slice(to), text);
}

/** Only what a file really exports is declared as a value; a class may be known as a type only. */
function withValues(declarations: string, values: readonly string[]): string {
  return declarations.replace(/^export \{ (.*) \};$/m, (_whole, list: string) => {
    const names = list.split(', ');
    const types = names.filter((name) => !values.includes(name));
    const missing = values.filter((name) => !names.includes(name));
    if (missing.length > 0) throw new Error(`not declared: ${missing.join()}`);
    const rest = names.filter((name) => values.includes(name));
    return `export { ${rest.join(', ')} };${types.length > 0 ? `\nexport type { ${types.join(', ')} };` : ''}`;
  });
}

/** @param external what the declarations may import */
export async function rollUp(tree: string, input: string, external: RegExp): Promise<string> {
  const bundle = await rollup({
    input,
    plugins: [
      findIn(tree, external),
      // Paths of the workspace would lead it out of the tree.
      dts({ compilerOptions: { paths: {}, types: [] } }),
    ],
    // A warning is a name that is not there, or there twice.
    onLog: (_level, { message }) => {
      throw new Error(`${input}: ${message}`);
    },
  });
  try {
    const { output } = await bundle.generate({ format: 'es' });
    const [{ code, imports }] = output;
    for (const specifier of imports)
      if (!external.test(specifier))
        throw new Error(`${input}: its declarations need ${specifier}, which is not published`);
    return code;
  } finally {
    await bundle.close();
  }
}

function findIn(tree: string, external: RegExp): Plugin {
  return {
    name: 'find-in-tree',
    resolveId: (specifier, importer) => {
      const inTree = PACKAGES[specifier];
      if (inTree !== undefined) return join(tree, `${inTree}.d.ts`);
      if (specifier.startsWith('.') && importer !== undefined)
        return join(dirname(importer), declarationOf(specifier));
      return external.test(specifier) ? { id: specifier, external: true } : null;
    },
  };
}
