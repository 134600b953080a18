import { styleText } from 'node:util';
import { printable, printableJson } from '@lumamesh/base';
import type { Finding } from '../io/check/finding.ts';
import { EXIT_FAILED, say } from './context.ts';

const MARKS = {
  ok: ['ok  ', 'green'],
  warn: ['WARN', 'yellow'],
  fail: ['FAIL', 'red'],
  skip: ['–   ', 'gray'],
} as const;
const NAME_WIDTH = 18;

/**
 * Prints findings as they come (or all as JSON at the end); the exit code is 1 when one of them is
 * a failure.
 */
export async function report(findings: AsyncIterable<Finding>, isJson: boolean): Promise<void> {
  const all: Finding[] = [];
  for await (const finding of findings) {
    all.push(finding);
    if (!isJson) say(line(finding));
  }
  if (isJson) say(printableJson(all));
  if (all.some(({ verdict }) => verdict === 'fail')) process.exitCode = EXIT_FAILED;
}

function line({ name, verdict, ms, detail, mend }: Finding): string {
  const [mark, color] = MARKS[verdict];
  const time = ms === undefined ? '' : ` (${Math.round(ms)} ms)`;
  const shown = styleText(color, mark, { stream: process.stdout });
  return `${shown} ${name.padEnd(NAME_WIDTH)} ${printable(detail)}${time}${mend === undefined ? '' : `\n     ${''.padEnd(NAME_WIDTH)} → ${mend}`}`;
}
