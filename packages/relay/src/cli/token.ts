import { randomBytes } from 'node:crypto';
import type { Command } from 'commander';
import { LumameshError } from '@lumamesh/base';
import { isAccessToken } from '@lumamesh/protocol';
import { accessEntry } from '../io/access-tokens.ts';
import { readConfig } from '../io/config/config.ts';
import { identityFiles, loadIdentity } from '../io/identity.ts';
import { say, sourcesOf } from './context.ts';

/** 192 bits, which base64url writes without padding. */
const TOKEN_BYTES = 24;

/** `token`: somebody's way into a private relay. */
export function addTokenCommand(program: Command): void {
  program
    .command('token')
    .description(
      'make a token for a private relay: the first line is for the one who is let in (connect({ token })), the second for ACCESS_TOKENS_FILE',
    )
    .argument('[token]', 'the second line of this token')
    .action(async (given: string | undefined, _flags, command: Command) => {
      if (given !== undefined && !isAccessToken(given))
        throw new LumameshError(
          'BAD_ARGUMENT',
          'this is no token: it has 16 to 128 printable characters without blanks and commas',
        );
      const config = readConfig(sourcesOf(command));
      const { nk } = await loadIdentity(identityFiles(config), { mayMake: false });
      const token = given ?? randomBytes(TOKEN_BYTES).toString('base64url');
      say(token);
      say(accessEntry(token, nk));
      if (!process.stderr.isTTY) return;
      process.stderr.write(
        '\nGive the first line to whom you let in. The second line goes into ACCESS_TOKENS_FILE: it\n' +
          'opens this relay only, and the token does not follow from it. SIGHUP (systemctl reload)\n' +
          'takes it over; sessions of a line that is gone end then.\n',
      );
    });
}
