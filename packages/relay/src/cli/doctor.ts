import type { Command } from 'commander';
import { LumameshError } from '@lumamesh/base';
import { diagnoseHost } from '../io/check/doctor.ts';
import { readConfig } from '../io/config/config.ts';
import { readList } from './check.ts';
import { sourcesOf } from './context.ts';
import { report } from './report.ts';

interface DoctorFlags {
  readonly stun?: string;
  readonly ntp: string;
  readonly list?: string;
  readonly json?: true;
}

/** `doctor`: looks at this machine. */
export function addDoctorCommand(program: Command): void {
  program
    .command('doctor')
    .description(
      'look at this machine: identity files, UDP port, receive buffer, addresses, NAT, clock, who is let in, until when the published line is good; with MESH_PEERS, one of them dials back',
    )
    .option(
      '--stun <host:port>',
      'a STUN server (any relay is one) to compare the public address with',
    )
    .option('--ntp <host>', 'the time server to compare the clock with', 'pool.ntp.org')
    .option(
      '--list <file>',
      'a list that has the line of this relay, signed or not, instead of the public list of this version: until when is it good?',
    )
    .option('--json', 'findings as JSON')
    .action(async (flags: DoctorFlags, command: Command) => {
      const stun = flags.stun === undefined ? {} : { stun: parseServer(flags.stun) };
      const list =
        flags.list === undefined
          ? {}
          : { list: { name: flags.list, text: await readList(flags.list) } };
      await report(
        diagnoseHost(readConfig(sourcesOf(command)), { ...stun, ...list, timeServer: flags.ntp }),
        flags.json === true,
      );
    });
}

function parseServer(text: string): { readonly host: string; readonly port: number } {
  const [, host, port] = /^([^\s:]+):(\d{1,5})$/.exec(text) ?? [];
  if (host === undefined)
    throw new LumameshError('BAD_ARGUMENT', `--stun: ${JSON.stringify(text)} is not host:port`);
  return { host, port: Number(port) };
}
