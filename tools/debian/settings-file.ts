import { listSettings } from '@lumamesh/relay';

/** Settings that the package sets where the program has no default. */
const SET: Readonly<Record<string, string>> = { HEALTH_LISTEN: '127.0.0.1:7401' };

/** The conffile: every setting with its default, as a comment, to be edited. */
export function settingsFile(): string {
  const settings = listSettings().map(
    ({ variable, description, allowed, defaultText, isReloadable }) => {
      const value = SET[variable];
      const line = value === undefined ? `#${variable}=${defaultText}` : `${variable}=${value}`;
      return `# ${description}; it must be ${allowed}${isReloadable ? '' : ' (takes a restart)'}\n${line}\n`;
    },
  );
  return [
    '# Settings of the Lumamesh relay. PUBLIC_IP is the one that matters: the address that browsers dial.\n#\n' +
      '# To apply them: systemctl reload lumamesh-relay, or restart where it says so. To check them: lumamesh-relay config check\n',
    ...settings,
  ].join('\n');
}
