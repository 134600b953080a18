import type { Command } from 'commander';
import { printConfig, readConfig } from '../io/config/config.ts';
import { say, sourcesOf } from './context.ts';

/** `config print` and `config check`: what the relay would run with. */
export function addConfigCommands(program: Command): void {
  const config = program
    .command('config')
    .description('show or check the settings: flag > environment > file (--config) > default');
  config
    .command('print')
    .description(
      'all settings as a file that --config reads, each with where it comes from; secrets are left out',
    )
    .action((_flags, command: Command) => say(printConfig(sourcesOf(command)).trimEnd()));
  config
    .command('check')
    .description(
      'exit code 0 when the settings can be used, else 2 and one line that says which cannot',
    )
    .action((_flags, command: Command) => {
      readConfig(sourcesOf(command));
      say('the settings can be used');
    });
}
