import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { buildGo } from '@lumamesh/testkit';

/* Where the programs of other stacks come from, and whether they can be had here. */
const GUIDE = new URL('../../docs/guide/other-stacks.md', import.meta.url);
/** Debian's, with its packages. */
const PYTHON = '/usr/bin/python3';
const HAS_AIORTC = existsSync('/usr/lib/python3/dist-packages/aiortc') && existsSync(PYTHON);

export const WITHOUT_AIORTC = HAS_AIORTC
  ? false
  : 'aiortc is not installed (Debian: apt-get install python3-aiortc)';

/** An address of this machine that every stack dials; aiortc and Firefox leave out 127.0.0.1. */
export const OWN_ADDRESS =
  Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '127.0.0.1';

/** The program of the guide that is marked with this name. */
export function guideProgram(stack: string): string {
  const program = new RegExp(`^\`\`\`\\w+ stack ${stack}\\n([^]*?)^\`\`\`$`, 'm').exec(
    readFileSync(GUIDE, 'utf8'),
  )?.[1];
  if (program === undefined) throw new Error(`the guide has no program for ${stack}`);
  return program;
}

export interface Command {
  readonly program: string;
  readonly flags: readonly string[];
}

/** The command of a program that takes its arguments and reads its input as the guide says. */
export function guideCommand(stack: string, folder: string): Command {
  const source = guideProgram(stack);
  if (stack === 'pion') {
    const main = join(folder, 'pion-guide.go');
    writeFileSync(main, source);
    return { program: buildGo(main, folder), flags: [] };
  }
  if (stack === 'aiortc') {
    const main = join(folder, 'client.py');
    writeFileSync(main, source);
    return { program: PYTHON, flags: [main] };
  }
  // Packages are found from where the process runs, not from a folder of its own.
  return { program: process.execPath, flags: ['--input-type=module', '--eval', source] };
}
