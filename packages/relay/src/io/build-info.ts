import { chooseIoPath } from '@lumamesh/transport/io';
import packageJson from '../../package.json' with { type: 'json' };

/** Set by the build (`npm run build:binary`); a relay that runs from its sources has none. */
declare const LUMAMESH_COMMIT: string | undefined;

/** What this program is. */
export const BUILD: {
  readonly version: string;
  readonly commit: string;
  readonly runtime: string;
} = {
  version: packageJson.version,
  commit: typeof LUMAMESH_COMMIT === 'string' ? LUMAMESH_COMMIT : 'sources',
  runtime: `Node ${process.version} ${process.platform}-${process.arch}`,
};

/** What `--version` says: NATIVE_IO of the environment is heeded, settings are not read. */
export function versionLine(): string {
  const io = chooseIoPath(process.env['NATIVE_IO'] === 'off' ? 'off' : 'auto');
  const { version, commit, runtime } = BUILD;
  return `lumamesh-relay ${version} (commit ${commit}, ${runtime}, ${
    io.name === 'native' ? 'native I/O' : `no native I/O: ${io.reason}`
  })`;
}
