import { LumameshError, printable } from '@lumamesh/base';
import { EXIT_BAD_INPUT, EXIT_FAILED } from './context.ts';
import { makeProgram } from './program.ts';

// Whoever reads may have seen enough (`doctor | head`); the command goes on to its end.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

try {
  await makeProgram().parseAsync();
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
