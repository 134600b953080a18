import { globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

/*
 * The examples of the documents, as tests. A block whose info string is `js run` is run in two tabs, as it stands:
 *
 *   ```html page        what the blocks below it have in their page's body, up to the next of these
 *   ```js run           a program; RELAYS is there. One that imports nothing from lumamesh goes on where the last one that did has ended
 *
 * and comments directly above it, which readers do not see, say what is to come of it:
 *
 *   <!-- do: … -->      statements for the first tab (`tab` is 0), once the two have met
 *   <!-- expect: … -->  an expression that becomes true in both tabs; `logged(text)`, `shown(text)` and `tab` are there
 *   <!-- meet: no -->   the tabs do not meet, for the example joins no room
 */
export interface ExampleBlock {
  /** `docs/guide/chat.md:12` */
  readonly place: string;
  readonly code: string;
  /** The page's body. */
  readonly html: string;
  readonly actions: readonly string[];
  readonly expectations: readonly string[];
  readonly meets: boolean;
}

const ROOT = join(import.meta.dirname, '../..');
const FENCE = /^```(.*)$/;
const NOTE = /^<!-- (do|expect|meet): (.*) -->$/;
const IMPORT = /from 'lumamesh/;

/** The documents that are looked through. */
export function exampleDocuments(): readonly string[] {
  return ['README.md', ...globSync('docs/guide/*.md', { cwd: ROOT }).toSorted()];
}

export function readExamples(document: string): readonly ExampleBlock[] {
  const lines = readFileSync(join(ROOT, document), 'utf8').split('\n');
  const blocks: ExampleBlock[] = [];
  let html = '';
  let start: ExampleBlock | null = null;
  let notes: (readonly [key: string, text: string])[] = [];
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i] ?? '';
    const [, key, text] = NOTE.exec(line) ?? [];
    const info = FENCE.exec(line)?.[1];
    if (key !== undefined && text !== undefined) notes.push([key, text]);
    else if (info !== undefined) {
      const end = lines.indexOf('```', i + 1);
      if (end === -1) throw new Error(`${document}:${i + 1}: a block that does not end`);
      const content = lines.slice(i + 1, end).join('\n');
      if (info === 'html page') html = content;
      if (info === 'js run') {
        const block = makeBlock(
          `${document}:${i + 1}`,
          content,
          html,
          notes,
          IMPORT.test(content) ? null : start,
        );
        if (IMPORT.test(content)) start = block;
        blocks.push(block);
      }
      notes = [];
      i = end;
    } else if (line.trim() !== '') notes = [];
  }
  return blocks;
}

function makeBlock(
  place: string,
  code: string,
  html: string,
  notes: readonly (readonly [string, string])[],
  before: ExampleBlock | null,
): ExampleBlock {
  const of = (wanted: string): string[] =>
    notes.filter(([key]) => key === wanted).map(([, text]) => text);
  return {
    place,
    code: before === null ? code : `${before.code}\n${code}`,
    html,
    actions: of('do'),
    expectations: of('expect'),
    meets: before?.meets !== false && !of('meet').includes('no'),
  };
}

/** Whether a document is for those who are new here: its examples run in both browsers. */
export function isFirstRead(document: string): boolean {
  return ['README.md', 'quick-start.md'].includes(basename(document));
}
