import { Command, CommanderError } from 'commander';
import { LumameshError, printable } from '@lumamesh/base';
import { versionLine } from '../io/build-info.ts';
import { addCheckCommand } from './check.ts';
import { addConfigCommands } from './config.ts';
import { EXIT_BAD_INPUT, EXIT_FAILED, addSettingOptions, say } from './context.ts';
import { addDoctorCommand } from './doctor.ts';
import { addKeysCommands } from './keys.ts';
import { addRecordCommands } from './records.ts';
import { run } from './run.ts';
import { addStatusCommand } from './status.ts';

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
// A misspelt command comes to the action above, which says more than the parser would.
program.allowExcessArguments(true);

// Whoever reads may have seen enough (`doctor | head`); the command goes on to its end.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

try {
  await program.parseAsync();
} catch (error) {
  const code = (error as { code?: unknown }).code;
  if (typeof code === 'string' && code.startsWith('commander.')) {
    // The parser has already said what is wrong, or printed the help that was asked for.
    process.exitCode = (error as { exitCode?: number }).exitCode === 0 ? 0 : EXIT_BAD_INPUT;
  } else if (error instanceof LumameshError) {
    // One line, whatever was quoted.
    process.stderr.write(`lumamesh-relay: ${printable(error.message)} [${error.code}]\n`);
    process.exitCode = error.code === 'RELAY_NOT_RUNNING' ? EXIT_FAILED : EXIT_BAD_INPUT;
  } else {
    process.stderr.write(
      `lumamesh-relay: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
    process.exitCode = EXIT_FAILED;
  }
}
