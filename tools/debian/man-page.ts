import type { makeProgram } from '../../packages/relay/src/cli/program.ts';
import { listSettings } from '@lumamesh/relay';

type Command = ReturnType<typeof makeProgram>;
type Option = Command['options'][number];

/** The manual page of the relay, section 1, in the macros of man(7): of its commands and settings. */
export function manPage(program: Command, version: string, date: string): string {
  const name = program.name();
  const lines = [
    `.TH ${name.toUpperCase()} 1 ${quote(date)} ${quote(`${name} ${version}`)} "User Commands"`,
    '.SH NAME',
    `${escape(name)} \\- a relay by which browsers meet, over one UDP port`,
    '.SH SYNOPSIS',
    `.B ${escape(name)}`,
    '[\\fICOMMAND\\fR] [\\fIOPTION\\fR]...',
    '.SH DESCRIPTION',
    paragraph(program.description()),
    '.PP',
    'Where the relay is installed as a service, the command takes the settings, the folder and the user of that service; root is asked for where they are needed.',
    '.SH COMMANDS',
    ...program.commands.flatMap((command) => commandEntries(command, [])),
    '.SH OPTIONS',
    ...optionEntries([
      ...program.options.filter(({ long }) => !SETTING_FLAGS.has(long ?? '')),
      { flags: '-h, --help', description: 'help for a command' },
    ]),
    '.SH SETTINGS',
    'Each setting is a variable, a flag and a line of the settings file. A flag counts more than the environment, that more than the file, and that more than the default.',
    ...listSettings().flatMap(
      ({ variable, flag, placeholder, description, defaultText, allowed, isReloadable }) => [
        '.TP',
        `.BR ${escape(variable)} ", " ${escape(flag)} " ${escape(placeholder)}"`,
        paragraph(
          `${sentence(description)} It must be ${allowed}.${defaultText === '' ? '' : ` Default: ${defaultText}.`}${isReloadable ? ' Taken over on SIGHUP.' : ''}`,
        ),
      ],
    ),
    '.SH FILES',
    ...FILES.flatMap(([file, what]) => ['.TP', `.I ${escape(file)}`, paragraph(what)]),
    '.SH SIGNALS',
    'SIGHUP reads the settings again. SIGTERM and SIGINT end the relay within five seconds; sessions are told to go on by another relay.',
    '.SH EXIT STATUS',
    '0; 1 for what was found or happened; 2 for what has to be corrected first (settings, arguments, key files, a port that is taken).',
    '.SH SEE ALSO',
    '.BR systemctl (1),',
    '.BR journalctl (1)',
  ];
  return `${lines.join('\n')}\n`;
}

const SETTING_FLAGS: ReadonlySet<string> = new Set(listSettings().map(({ flag }) => flag));
const FILES: readonly (readonly [string, string])[] = [
  [
    '/etc/lumamesh-relay/relay.env',
    'Settings of the service of the Debian package (of install.sh: /opt/lumamesh/relay.env).',
  ],
  [
    '/var/lib/lumamesh-relay/',
    'The identity: server.key, server.key.icepwd, server.crt, node.key (of install.sh: /opt/lumamesh/data/). Whoever has these files is this relay: back them up.',
  ],
];

function commandEntries(command: Command, parents: readonly string[]): readonly string[] {
  const path = [...parents, command.name()];
  if (command.commands.length > 0)
    return command.commands.flatMap((child) => commandEntries(child, path));
  const parameters = command.registeredArguments.map((one) => {
    const name = escape(one.name());
    return one.required ? `\\fI${name}\\fR` : `[\\fI${name}\\fR]`;
  });
  return [
    '.TP',
    `\\fB${escape(path.join(' '))}\\fR ${parameters.join(' ')}`.trimEnd(),
    paragraph(sentence(command.description())),
    ...(command.options.length === 0 ? [] : ['.RS', ...optionEntries(command.options), '.RE']),
  ];
}

function optionEntries(
  options: readonly Pick<Option, 'flags' | 'description'>[],
): readonly string[] {
  return options.flatMap(({ flags, description }) => [
    '.TP',
    `.B ${escape(flags)}`,
    paragraph(sentence(description)),
  ]);
}

function sentence(text: string): string {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}

/** A line of text: no dot or apostrophe at its beginning is taken for a macro. */
function paragraph(text: string): string {
  return escape(text).replace(/^(?=[.'])/, '\\&');
}

/** Backslashes and hyphens as themselves; what is outside ASCII by name. */
function escape(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('…', '...')
    .replaceAll('’', "'")
    .replaceAll('–', '\\-');
}

function quote(text: string): string {
  return `"${escape(text)}"`;
}
