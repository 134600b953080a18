import { readFile, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { checkRelay } from '../packages/relay/src/io/check/relay-probe.ts';
import { isSignedRecord } from '../packages/relay/src/io/record.ts';
import { careForList, readHistory } from './list-care.ts';
import { type DialResult, checkRelayList, dialRelays } from './relay-list.ts';

/*
 * `npm run care:relays -- --history FILE [file]`: dials the relays of a list, takes out those that
 * have expired or have been silent for a week, and prints what their operators should know. The
 * history of silences is kept in FILE. The scheduled workflow makes a pull request of what changes.
 */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { history: { type: 'string', default: 'relay-list-history.json' } },
});
const [file = 'relay.txt'] = positionals;
const text = await readFile(file, 'utf8');
// Lines that have expired are read as well: they are what is to go.
const { relays } = checkRelayList(new TextEncoder().encode(text), {
  nowUnixMs: 0,
  isSigned: isSignedRecord,
  maxSequenceSeconds: Infinity,
});
const results = new Map<string, DialResult>();
await dialRelays(relays, async (record) => {
  const first = await checkRelay(record);
  const result = first === 'dead' ? await checkRelay(record) : first;
  results.set(record.nk, result);
  return result;
});
const history = readHistory(await readHistoryFile());
const cared = careForList(text, relays, results, history, Math.floor(Date.now() / 1000));
await writeFile(values.history, `${JSON.stringify(cared.history)}\n`);
if (cared.text !== text) await writeFile(file, cared.text);
const say = (line: string): void => void process.stdout.write(`${line}\n`);
if (cared.isCutOff)
  say('Most relays did not answer: this machine seems to be cut off, and nothing was counted.');
for (const line of cared.removed) say(`- taken out: ${line}`);
for (const line of cared.reminders) say(`- ${line}`);

async function readHistoryFile(): Promise<string> {
  try {
    return await readFile(values.history, 'utf8');
  } catch {
    return '';
  }
}
