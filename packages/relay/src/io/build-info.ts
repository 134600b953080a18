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
