import type { makeProgram } from '../../packages/relay/src/cli/program.ts';

type Command = ReturnType<typeof makeProgram>;
type Option = Command['options'][number];

/** A command that can be typed, with what may follow it. */
interface Entry {
  /** Its words after the program's name: `keys backup`. */
  readonly path: readonly string[];
  readonly description: string;
  readonly options: readonly Flag[];
}

interface Flag {
  readonly long: string;
  readonly description: string;
  readonly takesValue: boolean;
  /** Of a file or folder. */
  readonly isPath: boolean;
}

function entriesOf(command: Command, path: readonly string[] = []): readonly Entry[] {
  return [
    { path, description: command.description(), options: command.options.map(flagOf) },
    ...command.commands.flatMap((child) => entriesOf(child, [...path, child.name()])),
  ];
}

function flagOf({ long, description, flags, required }: Option): Flag {
  return {
    long: long ?? '',
    description,
    takesValue: required,
    isPath: /<(path|file)>/.test(flags),
  };
}

const HELP: Flag = { long: '--help', description: 'help', takesValue: false, isPath: false };

/** The words that may come next after these. */
function childrenOf(entries: readonly Entry[], path: readonly string[]): readonly Entry[] {
  return entries.filter(
    (entry) =>
      entry.path.length === path.length + 1 && path.every((word, i) => entry.path[i] === word),
  );
}

/** Of each command its own options and the program's, which are settings. */
function optionsOf(entries: readonly Entry[], { path, options }: Entry): readonly Flag[] {
  return path.length === 0
    ? [...options, HELP]
    : [...options, ...(entries[0]?.options ?? []), HELP];
}

export function bashCompletion(program: Command): string {
  const entries = entriesOf(program);
  const cases = entries.map((entry) => {
    const words = [
      ...childrenOf(entries, entry.path).map(({ path }) => path.at(-1) ?? ''),
      ...optionsOf(entries, entry).map(({ long }) => long),
    ];
    return `    '${entry.path.join(' ')}') words='${words.join(' ')}' ;;`;
  });
  const all = entries.flatMap((entry) => optionsOf(entries, entry));
  const ofPaths = unique(all.filter(({ isPath }) => isPath).map(({ long }) => long));
  const ofValues = unique(
    all.filter(({ takesValue, isPath }) => takesValue && !isPath).map(({ long }) => long),
  );
  const commands = entries.flatMap(({ path }) => (path.length === 0 ? [] : [path.join(' ')]));
  return `# bash completion of ${program.name()}, made from its commands
_lumamesh_relay() {
  local current=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD - 1]} path='' words='' word
  COMPREPLY=()
  case $before in
    ${ofPaths.join(' | ')}) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
    ${ofValues.join(' | ')}) return ;;
  esac
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "\${path:+$path }$word" in
      ${commands.map((one) => `'${one}'`).join(' | ')}) path="\${path:+$path }$word" ;;
    esac
  done
  case $path in
${cases.join('\n')}
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  if ((\${#COMPREPLY[@]} == 0)); then compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$current"); fi
}
complete -F _lumamesh_relay ${program.name()}
`;
}

export function zshCompletion(program: Command): string {
  const entries = entriesOf(program);
  const quote = (text: string): string => text.replaceAll("'", "'\\''");
  const describe = (text: string): string =>
    quote(text.replaceAll(/[[\]]/g, '').replaceAll(':', '\\:'));
  const cases = entries.map((entry) => {
    const children = childrenOf(entries, entry.path).map(
      ({ path, description }) => `'${path.at(-1)}:${describe(description)}'`,
    );
    const options = optionsOf(entries, entry).map(
      ({ long, description, takesValue, isPath }) =>
        `'${long}[${describe(description)}]${takesValue ? `:value:${isPath ? '_files' : ''}` : ''}'`,
    );
    return `    '${entry.path.join(' ')}')
      children=(${children.join(' ')})
      options=(${options.join(' ')})
      ;;`;
  });
  const commands = entries.flatMap(({ path }) => (path.length === 0 ? [] : [path.join(' ')]));
  return `#compdef ${program.name()}
# zsh completion of ${program.name()}, made from its commands
local current_path='' word
local -a children options
for word in "\${(@)words[2,CURRENT-1]}"; do
  case "\${current_path:+$current_path }$word" in
    ${commands.map((one) => `'${one}'`).join(' | ')}) current_path="\${current_path:+$current_path }$word" ;;
  esac
done
case $current_path in
${cases.join('\n')}
esac
if (( \${#children} )) && [[ $words[CURRENT] != -* ]]; then _describe command children; fi
_arguments -S : $options '*:file:_files'
`;
}

export function fishCompletion(program: Command): string {
  const entries = entriesOf(program);
  const name = program.name();
  const quote = (text: string): string =>
    `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  const seen = (path: readonly string[]): string =>
    path.map((word) => `__fish_seen_subcommand_from ${word}`).join('; and ');
  const lines = entries.flatMap(({ path, description, options }) => {
    const parent = path.slice(0, -1);
    const siblings = childrenOf(entries, parent).map((one) => one.path.at(-1) ?? '');
    const condition = [
      ...(parent.length === 0 ? [] : [seen(parent)]),
      `not __fish_seen_subcommand_from ${siblings.join(' ')}`,
    ].join('; and ');
    const command =
      path.length === 0
        ? []
        : [
            `complete -c ${name} -f -n ${quote(condition)} -a ${path.at(-1)} -d ${quote(description)}`,
          ];
    const when = path.length === 0 ? '' : ` -n ${quote(seen(path))}`;
    return [
      ...command,
      ...options.map(
        ({ long, description: what, takesValue, isPath }) =>
          `complete -c ${name}${when} -l ${long.slice(2)}${takesValue ? (isPath ? ' -r' : ' -x') : ''} -d ${quote(what)}`,
      ),
    ];
  });
  return `# fish completion of ${name}, made from its commands\n${lines.join('\n')}\n`;
}

function unique(words: readonly string[]): readonly string[] {
  return [...new Set(words)];
}
