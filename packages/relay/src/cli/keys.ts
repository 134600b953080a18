import { resolve } from 'node:path';
import type { Command } from 'commander';
import { readConfig } from '../io/config/config.ts';
import { type Identity, type IdentityFiles, identityFiles, loadIdentity } from '../io/identity.ts';
import { backupKeys, identityPaths, restoreKeys } from '../io/key-backup.ts';
import { say, sourcesOf } from './context.ts';

/** `keys make | show | backup | restore`: the four files that are the relay. */
export function addKeysCommands(program: Command): void {
  const keys = program
    .command('keys')
    .description('the identity files: server.crt, server.key, server.key.icepwd, node.key');
  keys
    .command('make')
    .description('make what is missing (0600); what is there is kept')
    .action(async (_flags, command: Command) => {
      const files = filesOf(command);
      show(files, await loadIdentity(files));
    });
  keys
    .command('show')
    .description('node key and fingerprint of the identity that is there; makes nothing')
    .action(async (_flags, command: Command) => {
      const files = filesOf(command);
      show(files, await loadIdentity(files, { mayMake: false }));
    });
  keys
    .command('backup <folder>')
    .description(
      'copy the identity (0600) with checksums; a backup of another identity is not touched',
    )
    .action(async (folder: string, _flags, command: Command) => {
      for (const file of await backupKeys(filesOf(command), folder)) say(file);
      say(`\nTo restore it:  lumamesh-relay keys restore ${JSON.stringify(resolve(folder))}`);
    });
  keys
    .command('restore <folder>')
    .description(
      'put a backup back after checking it; files of another identity are never overwritten',
    )
    .action(async (folder: string, _flags, command: Command) => {
      const files = filesOf(command);
      show(files, await restoreKeys(folder, files));
    });
}

function filesOf(command: Command): IdentityFiles {
  return identityFiles(readConfig(sourcesOf(command)));
}

function show(files: IdentityFiles, { nk, fingerprint }: Identity): void {
  for (const { path } of identityPaths(files)) say(resolve(path));
  say(`node key     ${nk}`);
  say(`fingerprint  ${fingerprint}`);
}
