import { type Command, Option } from 'commander';
import {
  type ConfigSources,
  type SettingName,
  listSettings,
  readConfigFile,
} from '../io/config/config.ts';

/**
 * Exit codes: 1 for what happens while running or what a check found, 2 for what the operator must
 * mend first.
 */
export const EXIT_FAILED = 1;
export const EXIT_BAD_INPUT = 2;

const CONFIG_VARIABLE = 'LUMAMESH_CONFIG';
/** The folder of the identity, where it is not the current one (deploy/lumamesh-relay.sh). */
const HOME_VARIABLE = 'LUMAMESH_HOME';

/** Adds every setting as a flag, and `--config`. Commands below it take them too. */
export function addSettingOptions(program: Command): void {
  program.addOption(
    new Option(
      '--config <file>',
      `read settings from a file of VARIABLE=value lines (${CONFIG_VARIABLE})`,
    ),
  );
  for (const { flag, placeholder, description, defaultText, variable } of listSettings()) {
    const fallback = defaultText === '' ? '' : `, default ${defaultText}`;
    program.addOption(
      new Option(`${flag} ${placeholder}`, `${description} (${variable}${fallback})`),
    );
  }
}

/**
 * Where the settings of a command come from. The file is read anew with every call. Throws
 * `BAD_CONFIG`.
 */
export function sourcesOf(command: Command): ConfigSources {
  const flags: Partial<Record<SettingName | 'config', string>> = command.optsWithGlobals();
  const path = flags.config ?? process.env[CONFIG_VARIABLE];
  const home = process.env[HOME_VARIABLE];
  return {
    flags,
    environment: process.env,
    ...(path === undefined || path === '' ? {} : { file: readConfigFile(path) }),
    ...(home === undefined || home === '' ? {} : { home }),
  };
}

export function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
