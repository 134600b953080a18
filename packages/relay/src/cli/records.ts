import { readFile } from 'node:fs/promises';
import { text as readAll } from 'node:stream/consumers';
import type { Command } from 'commander';
import { encodeQR } from 'qr';
import { LumameshError, printableJson, scopeOf } from '@lumamesh/base';
import { type SignedRelayRecord, encodeRecordLine, parseRecordJson } from '@lumamesh/protocol';
import { readConfig } from '../io/config/config.ts';
import { identityFiles, loadIdentity } from '../io/identity.ts';
import { isSignedRecord, makeRecord, recordPlace } from '../io/record.ts';
import { readLine } from './check.ts';
import { EXIT_FAILED, say, sourcesOf } from './context.ts';

interface QrFlag {
  readonly qr?: true;
}

/** `encode` and `decode`: a record as one line of relay.txt, and as JSON. */
export function addRecordCommands(program: Command): void {
  program
    .command('encode')
    .description(
      'the line for relay.txt: of a record as JSON (a file, or - for standard input), or of this relay, by its settings and identity',
    )
    .argument('[json]', 'file with the record as JSON, or -')
    .option('--qr', 'show it as a QR code besides')
    .action(async (json: string | undefined, flags: QrFlag, command: Command) => {
      const record =
        json === undefined ? await ownRecord(command) : parseJson(await readInput(json));
      const line = encodeRecordLine(record);
      warnOfLoopback(record);
      say(line);
      if (flags.qr === true) showQr(line);
    });
  program
    .command('decode')
    .description(
      'a line of relay.txt as JSON; the exit code is 1 when its signature or its time is not valid',
    )
    .argument('<line>', 'the line (luma1.…), or - for standard input')
    .option('--qr', 'show the line as a QR code besides')
    .action(async (line: string, flags: QrFlag) => {
      const record = readLine(line === '-' ? await readInput('-') : line);
      say(printableJson(record));
      if (flags.qr === true) showQr(encodeRecordLine(record));
      const fault = isSignedRecord(record)
        ? record.expires * 1000 < Date.now()
          ? 'it has expired'
          : null
        : 'it is not signed by its node key';
      if (fault === null) return;
      process.stderr.write(`lumamesh-relay: the record is not valid: ${fault}\n`);
      process.exitCode = EXIT_FAILED;
    });
}

/** A valid line that leads nowhere must not look like one to publish. */
function warnOfLoopback({ ip, host }: SignedRelayRecord): void {
  if (scopeOf(ip) !== 'loopback') return;
  const whoCan =
    host === undefined
      ? 'only browsers on this machine can dial it, and Firefox not even there'
      : `only pages that resolve ${host} can dial it`;
  process.stderr.write(
    `\n  WARNING: this record names ${ip}: ${whoCan}.\n  Do not publish it. Set PUBLIC_IP to the address at which browsers reach this machine.\n\n`,
  );
}

async function ownRecord(command: Command): Promise<SignedRelayRecord> {
  const config = readConfig(sourcesOf(command));
  const identity = await loadIdentity(identityFiles(config), { mayMake: false });
  return makeRecord(config, identity, await recordPlace(config), Date.now());
}

async function readInput(file: string): Promise<string> {
  try {
    return file === '-' ? await readAll(process.stdin) : await readFile(file, 'utf8');
  } catch (error) {
    throw new LumameshError('BAD_ARGUMENT', `cannot read ${file}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function parseJson(text: string): SignedRelayRecord {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new LumameshError('BAD_RECORD', `this is no JSON: ${(error as Error).message}`, {
      cause: error,
    });
  }
  const record = parseRecordJson(json);
  if (!record.ok) throw new LumameshError('BAD_RECORD', `this is no record: ${record.drop}`);
  return record.value;
}

/**
 * Half blocks, two rows of modules in a line of text; low error correction keeps a line of 1 KB
 * within most terminals.
 */
function showQr(line: string): void {
  say(encodeQR(line, 'ascii', { ecc: 'low' }).trimEnd());
}
