import { chooseIoPath } from '@lumamesh/transport/io';
import packageJson from '../../package.json' with { type: 'json' };

/** Set by the build (`npm run build:binary`); a relay that runs from its sources has none. */
declare const LUMAMESH_COMMIT: string | undefined;
/** Set by the build: when that commit was made, Unix time in seconds. */
declare const LUMAMESH_COMMIT_TIME: number | undefined;

/** No relay that watches its clock is older: 2026-11-28. */
const FIRST_OF_ALL = 1_795_824_000;

/** What this program is. */
export const BUILD: {
  readonly version: string;
  readonly commit: string;
  readonly runtime: string;
  /** A clock that is before this is wrong; Unix time in seconds. */
  readonly madeUnixSeconds: number;
} = {
  version: packageJson.version,
  commit: typeof LUMAMESH_COMMIT === 'string' ? LUMAMESH_COMMIT : 'sources',
  runtime: `Node ${process.version} ${process.platform}-${process.arch}`,
  madeUnixSeconds: typeof LUMAMESH_COMMIT_TIME === 'number' ? LUMAMESH_COMMIT_TIME : FIRST_OF_ALL,
};

/** What `--version` says: NATIVE_IO of the environment is heeded, settings are not read. */
export function versionLine(): string {
  const io = chooseIoPath(process.env['NATIVE_IO'] === 'off' ? 'off' : 'auto');
  const { version, commit, runtime } = BUILD;
  return `lumamesh-relay ${version} (commit ${commit}, ${runtime}, ${
    io.name === 'native' ? 'native I/O' : `no native I/O: ${io.reason}`
  })`;
}
