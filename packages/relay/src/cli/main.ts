import type { Server } from 'node:http';
import { Command, Option } from 'commander';
import { LumameshError } from '@lumamesh/base';
import { encodeRecordLine } from '@lumamesh/protocol';
import { type RelayConfig, type SettingName, listSettings, readConfig } from '../io/config.ts';
import { startHealthServer } from '../io/health-server.ts';
import { makeLogger } from '../io/log.ts';
import { RelayServer } from '../io/relay-server.ts';

/** Exit codes: 1 for what happens while running, 2 for what the operator must mend first. */
const EXIT_FAILED = 1;
const EXIT_BAD_INPUT = 2;

async function run(flags: Partial<Record<SettingName, string>>): Promise<void> {
  const config = readConfig(process.env, flags);
  const log = makeLogger(config.logLevel);
  const relay = await RelayServer.start(config, log);
  const health = await startHealth(relay, config);
  const { record } = relay;
  // Standard output holds exactly these two lines: JSON for programs, and what goes into relay.txt.
  process.stdout.write(`${JSON.stringify(record)}\n${encodeRecordLine(record)}\n`);
  log.info({ nodeId: record.nk, port: record.port, dualStack: relay.isDualStack }, `relay is up: browsers dial ${config.publicIp}:${record.port} over UDP`);
  if (config.publicIp === '127.0.0.1') log.warn({}, 'PUBLIC_IP is 127.0.0.1: only browsers on this machine can reach the relay, and Firefox not even those');

  const stop = (signal: string): void => {
    log.info({ signal }, 'stopping');
    health?.close();
    health?.closeAllConnections();
    void relay.close();
  };
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
}

/** Without the health server that was asked for there is no relay either: a watcher would take it for dead. */
async function startHealth(relay: RelayServer, config: RelayConfig): Promise<Server | null> {
  try {
    return config.healthListen === undefined ? null : await startHealthServer(relay, config.healthListen);
  } catch (error) {
    await relay.close();
    throw error;
  }
}

const program = new Command('lumamesh-relay').description('A Lumamesh relay: browsers meet through it, over one UDP port.');
program.allowExcessArguments(false).exitOverride();
for (const { flag, placeholder, description, defaultText, variable } of listSettings()) {
  const fallback = defaultText === '' ? '' : `, default ${defaultText}`;
  program.addOption(new Option(`${flag} ${placeholder}`, `${description} (${variable}${fallback})`));
}
program.action(run);

try {
  await program.parseAsync();
} catch (error) {
  const code = (error as { code?: unknown }).code;
  if (typeof code === 'string' && code.startsWith('commander.')) {
    // The parser has already said what is wrong, or printed the help that was asked for.
    process.exitCode = (error as { exitCode?: number }).exitCode === 0 ? 0 : EXIT_BAD_INPUT;
  } else if (error instanceof LumameshError) {
    process.stderr.write(`lumamesh-relay: ${error.message} [${error.code}]\n`);
    process.exitCode = EXIT_BAD_INPUT;
  } else {
    process.stderr.write(`lumamesh-relay: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exitCode = EXIT_FAILED;
  }
}
