import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseEnv } from 'node:util';
import * as v from 'valibot';
import { LumameshError } from '@lumamesh/base';
import { readAccessEntries } from './access-entry.ts';
import { SCHEMA } from './setting-schema.ts';
import { type Setting, flagOf } from './setting.ts';
import { SETTINGS, type SettingName } from './settings.ts';

export type RelayConfig = v.InferOutput<typeof SCHEMA>;
export type { SettingName } from './settings.ts';

/** Where settings may come from, the strongest first. */
export interface ConfigSources {
  readonly flags?: Partial<Record<SettingName, string>>;
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly file?: ConfigFile;
  /** The folder that paths in settings are relative to; without it, the one the program runs in. */
  readonly home?: string;
}

export interface ConfigFile {
  readonly path: string;
  readonly values: Readonly<Record<string, string | undefined>>;
}

export type SettingOrigin = 'flag' | 'environment' | 'file' | 'default';

export interface ListedSetting extends Setting {
  readonly name: SettingName;
  readonly flag: string;
}

interface RawSetting {
  readonly text: string | undefined;
  readonly origin: SettingOrigin;
}

export function listSettings(): readonly ListedSetting[] {
  return Object.entries(SETTINGS).map(([name, value]) => ({
    ...value,
    name: name as SettingName,
    flag: flagOf(value.variable),
  }));
}

/**
 * Reads a file of `VARIABLE=value` lines, as systemd's EnvironmentFile and the installer's
 * setup.env are. Throws `BAD_CONFIG` when it cannot be read, and for a variable that is none: a
 * misspelt limit must not be silently the default.
 */
export function readConfigFile(path: string): ConfigFile {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new LumameshError(
      'BAD_CONFIG',
      `--config: cannot read ${path}: ${(error as Error).message}`,
      { cause: error },
    );
  }
  const stray = text
    .split('\n')
    .findIndex((line) => !/^\s*(#.*|(export\s+)?[A-Za-z_]\w*\s*=.*)?\s*$/.test(line));
  if (stray !== -1)
    throw new LumameshError(
      'BAD_CONFIG',
      `${path}, line ${stray + 1}: a line is VARIABLE=value, or a comment behind #`,
    );
  const values = parseEnv(text);
  const known = listSettings().map(({ variable }) => variable);
  const unknown = Object.keys(values).find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new LumameshError(
      'BAD_CONFIG',
      `${path}: there is no setting ${unknown}; there are ${known.join(', ')}`,
    );
  return { path, values };
}

/**
 * Reads the configuration: a flag counts more than the environment, that more than the file, and
 * that more than the default. An empty variable is an absent one, but for tokens, where it is a
 * mistake. Throws `BAD_CONFIG` in one line that names the variable, its value and what is allowed.
 */
export function readConfig(sources: ConfigSources): RelayConfig {
  const raw = gather(sources);
  const values = Object.fromEntries(Object.entries(raw).map(([name, { text }]) => [name, text]));
  const result = v.safeParse(SCHEMA, values, { abortPipeEarly: true });
  if (result.success) return withAccess(atHome(consistent(result.output), sources.home));
  const name = String(v.getDotPath(result.issues[0])?.split('.')[0]) as SettingName;
  const { variable, allowed, isSecret } = SETTINGS[name];
  const { text, origin } = raw[name];
  const where =
    origin === 'flag'
      ? flagOf(variable)
      : origin === 'file'
        ? `${variable} in ${sources.file?.path}`
        : variable;
  if (text === '')
    throw new LumameshError(
      'BAD_CONFIG',
      `${where} is set, but empty: it must be ${allowed}; for a relay that lets in everybody leave the setting out`,
    );
  // A password in a log would outlive its mistake.
  throw new LumameshError(
    'BAD_CONFIG',
    `${where}: ${isSecret ? 'the value given' : JSON.stringify(text)} is not allowed, it must be ${allowed}`,
  );
}

/**
 * The configuration as a file that `--config` reads: each variable with where it comes from.
 * Secrets are left out; throws as {@link readConfig}.
 */
export function printConfig(sources: ConfigSources): string {
  readConfig(sources);
  const raw = gather(sources);
  const lines = listSettings().map(({ name, variable, isSecret, defaultText }) => {
    const { text, origin } = raw[name];
    if (origin === 'default') return `# ${variable}=${defaultText}`;
    return isSecret
      ? `# ${variable} is set (${origin}), and not shown`
      : `${variable}=${quote(text ?? '')} # ${origin}`;
  });
  return `${lines.join('\n')}\n`;
}

/** Those settings that a running relay takes over. */
export function reloadable(config: RelayConfig): Partial<RelayConfig> {
  const names = listSettings().flatMap(({ name, isReloadable }) => (isReloadable ? [name] : []));
  return Object.fromEntries(names.map((name) => [name, config[name]]));
}

function gather({
  flags = {},
  environment = {},
  file,
}: ConfigSources): Record<SettingName, RawSetting> {
  const entries = listSettings().map(
    ({ name, variable, defaultText, isNeverEmpty }): [SettingName, RawSetting] => {
      const given: readonly (readonly [SettingOrigin, string | undefined])[] = [
        ['flag', flags[name]],
        ['environment', environment[variable]],
        ['file', file?.values[variable]],
      ];
      const [origin, text] =
        given.find(([, value]) => value !== undefined && (isNeverEmpty || value !== '')) ?? [];
      // "auto" as a default stands for a value that is generated, but for settings that have it as
      // a word of their own.
      const fallback = defaultText === '' || name === 'icePwd' ? undefined : defaultText;
      return [name, { text: text ?? fallback, origin: origin ?? 'default' }];
    },
  );
  return Object.fromEntries(entries) as Record<SettingName, RawSetting>;
}

/** What single values cannot say. */
function consistent(config: RelayConfig): RelayConfig {
  const { meshSalt, meshListen, meshPeers } = config;
  if (meshSalt === undefined && (meshListen !== undefined || meshPeers !== undefined)) {
    throw new LumameshError(
      'BAD_CONFIG',
      `${meshListen === undefined ? 'MESH_PEERS' : 'MESH_LISTEN'} is set but MESH_SALT is not: there is no mesh without it`,
    );
  }
  return config;
}

/** With all tokens that let in, wherever they stand. */
function withAccess(config: RelayConfig): RelayConfig {
  const accessTokens = readAccessEntries(config);
  return accessTokens === undefined ? config : { ...config, accessTokens };
}

/** With the paths in it where the relay's folder is. */
function atHome(config: RelayConfig, home: string | undefined): RelayConfig {
  if (home === undefined) return config;
  const { certFile, keyFile, nodeKey, meshFile, accessTokensFile } = config;
  return {
    ...config,
    certFile: resolve(home, certFile),
    keyFile: resolve(home, keyFile),
    nodeKey: resolve(home, nodeKey),
    meshFile: resolve(home, meshFile),
    ...(accessTokensFile === undefined
      ? {}
      : { accessTokensFile: resolve(home, accessTokensFile) }),
  };
}

function quote(text: string): string {
  return /^[\w.:,/@+-]*$/.test(text) ? text : JSON.stringify(text);
}
