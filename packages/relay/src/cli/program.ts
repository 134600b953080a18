import { Command, CommanderError } from 'commander';
import { LumameshError } from '@lumamesh/base';
import { versionLine } from '../io/build-info.ts';
import { addCheckCommand } from './check.ts';
import { addConfigCommands } from './config.ts';
import { addSettingOptions, say } from './context.ts';
import { addDoctorCommand } from './doctor.ts';
import { addHandOverCommand } from './hand-over.ts';
import { addKeysCommands } from './keys.ts';
import { addRecordCommands } from './records.ts';
import { run } from './run.ts';
import { addStatusCommand } from './status.ts';
import { addTokenCommand } from './token.ts';

/** All commands with their options; manual page and completions are made of the same (tools/package). */
export function makeProgram(): Command {
  const program = new Command('lumamesh-relay')
    .description(
      'A Lumamesh relay: browsers meet through it, over one UDP port. Without a command it runs the relay.',
    )
    .option('-v, --version', 'version, commit, runtime, and whether native I/O is used')
    .exitOverride();
  program.on('option:version', () => {
    say(versionLine());
    throw new CommanderError(0, 'commander.version', 'version');
  });
  addSettingOptions(program);
  program.action(async (_flags, command: Command) => {
    const [stray] = command.args;
    if (stray === undefined) return run(command);
    const names = program.commands.map((one) => one.name());
    throw new LumameshError(
      'BAD_ARGUMENT',
      `there is no command ${JSON.stringify(stray)}; there are ${names.join(', ')} (--help tells more)`,
    );
  });
  program
    .command('run')
    .description('run the relay, as without a command')
    .action(async (_flags, command: Command) => run(command));
  addKeysCommands(program);
  addRecordCommands(program);
  addCheckCommand(program);
  addDoctorCommand(program);
  addStatusCommand(program);
  addConfigCommands(program);
  addHandOverCommand(program);
  addTokenCommand(program);
  // A misspelt command comes to the action above, which says more than the parser would.
  program.allowExcessArguments(true);
  return program;
}
