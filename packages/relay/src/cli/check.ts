import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { LumameshError } from '@lumamesh/base';
import { RECORD_LINE_PREFIX, type SignedRelayRecord, decodeRecordLine } from '@lumamesh/protocol';
import { isAccessEntry } from '../io/config/access-entry.ts';
import { checkHost, checkRecord } from '../io/check/relay-check.ts';
import { report } from './report.ts';

const DEFAULT_PORT = 3478;
const TOKEN_VARIABLE = 'LUMAMESH_TOKEN';

interface CheckFlags {
  readonly address?: string;
  readonly list?: string;
  readonly token?: string;
  readonly json?: true;
}

/** `check <record line | host>`: connects as a browser would, and says at which step it ends. */
export function addCheckCommand(program: Command): void {
  program
    .command('check')
    .description(
      'connect to a relay from this machine as a browser would: DNS, UDP, STUN, ICE, DTLS, node key, join',
    )
    .argument(
      '<relay>',
      'its line (luma1.…), or host[:port], of which only DNS, UDP and STUN can be checked unless --list has its line',
    )
    .option('--address <ip>', 'dial this address instead of the one in the record')
    .option('--list <file>', 'look the host up in a relay.txt')
    .option(
      '--token <token>',
      `show a private relay this token, or what ACCESS_TOKENS has for one (${TOKEN_VARIABLE}: other users of this machine see parameters)`,
    )
    .option('--json', 'findings as JSON')
    .action(async (relay: string, flags: CheckFlags) => {
      const record = await findRecord(relay, flags);
      const token = flags.token ?? process.env[TOKEN_VARIABLE] ?? '';
      if (token !== '' && !isAccessEntry(token))
        throw new LumameshError(
          'BAD_ARGUMENT',
          'the token is none: 16 to 128 printable characters without blanks and commas',
        );
      const options = {
        ...(flags.address === undefined ? {} : { address: flags.address }),
        ...(token === '' ? {} : { token }),
      };
      await report(
        record === null ? checkHost(parseHost(relay)) : checkRecord(record, options),
        flags.json === true,
      );
    });
}

async function findRecord(relay: string, { list }: CheckFlags): Promise<SignedRelayRecord | null> {
  if (relay.startsWith(RECORD_LINE_PREFIX)) return readLine(relay);
  if (list === undefined) return null;
  const { host, port } = parseHost(relay);
  for (const line of (await readList(list)).split('\n')) {
    const record = decodeRecordLine(line);
    if (
      record.ok &&
      [record.value.host, record.value.ip, record.value.ip6].includes(host) &&
      (!relay.endsWith(`:${port}`) || record.value.port === port)
    )
      return record.value;
  }
  throw new LumameshError('BAD_ARGUMENT', `${list} has no record of ${relay}`);
}

/** A file that `--list` names. Throws `BAD_ARGUMENT`. */
export async function readList(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new LumameshError(
      'BAD_ARGUMENT',
      `--list: cannot read ${file}: ${(error as Error).message}`,
      { cause: error },
    );
  }
}

/** Reads a record line that a person gave. Throws `BAD_RECORD`. */
export function readLine(line: string): SignedRelayRecord {
  const record = decodeRecordLine(line);
  if (!record.ok) throw new LumameshError('BAD_RECORD', `this is no record line: ${record.drop}`);
  return record.value;
}

function parseHost(text: string): { readonly host: string; readonly port: number } {
  const [, bracketed, plain, digits] =
    /^(?:\[([0-9a-fA-F:.]+)\]|([\w.-]+|[0-9a-fA-F:]*:[0-9a-fA-F:.]*))(?::(\d{1,5}))?$/.exec(text) ??
    [];
  const host = bracketed ?? plain;
  const port = Number(digits ?? DEFAULT_PORT);
  if (host === undefined || port < 1 || port > 65_535)
    throw new LumameshError(
      'BAD_ARGUMENT',
      `${JSON.stringify(text)} is no record line, and no host[:port]`,
    );
  return { host, port };
}
