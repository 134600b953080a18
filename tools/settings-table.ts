import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { listSettings } from '@lumamesh/relay';

/*
 * Writes the table of a relay's settings into docs/operations.md, from the schema that the relay
 * reads them with: `npm run docs:settings`. With `--check` nothing is written, and the exit code is
 * 1 when what is there differs.
 */
const FILE = join(import.meta.dirname, '../docs/operations.md');
const [BEGIN, END] = ['<!-- settings:begin -->\n', '<!-- settings:end -->'];
const HEAD = [
  '| variable | flag | default | what it is | must be | on SIGHUP |',
  '|---|---|---|---|---|---|',
];

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;') || '–';
const rows = listSettings().map(
  ({ variable, flag, defaultText, description, allowed, isReloadable }) => {
    const cells = [
      variable,
      `\`${flag}\``,
      cell(defaultText),
      cell(description),
      cell(allowed),
      isReloadable ? 'taken over' : 'restart',
    ];
    return `| ${cells.join(' | ')} |`;
  },
);

const text = readFileSync(FILE, 'utf8').replaceAll('\r\n', '\n');
const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
if (begin === -1 || end < begin)
  throw new Error(`${FILE} has no place for the table: ${BEGIN.trim()} and ${END}, each on a line`);
const wanted = `${text.slice(0, begin + BEGIN.length)}\n${[...HEAD, ...rows].join('\n')}\n\n${text.slice(end)}`;
if (!process.argv.includes('--check')) writeFileSync(FILE, wanted);
else if (wanted !== text) {
  process.stdout.write(
    'the table of settings in docs/operations.md is not what the schema says: npm run docs:settings\n',
  );
  process.exitCode = 1;
}
