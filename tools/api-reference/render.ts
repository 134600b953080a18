import {
  type Comment,
  type CommentDisplayPart,
  DeclarationReflection,
  type ParameterReflection,
  ReferenceReflection,
  ReflectionKind,
  type SignatureReflection,
  type SomeType,
} from 'typedoc';
import { typeText } from './type-text.ts';

/*
 * One Markdown page for each entry point. Objects with methods are lists, options are tables, and
 * what other entry points export too is named only.
 */
export interface EntryPage {
  /** As it is imported. */
  readonly name: string;
  readonly file: string;
  readonly about: string;
}

const GENERATED =
  '<!-- Written by tools/api-reference/generate.ts from the docstrings; changes belong there. -->';

/** The groups of a page, in the order a reader needs them. */
const GROUPS: readonly (readonly [
  title: string,
  belongs: (item: DeclarationReflection) => boolean,
])[] = [
  ['Functions', (item) => item.kind === ReflectionKind.Function],
  ['Objects', (item) => hasMethods(item) && item.kind !== ReflectionKind.TypeAlias],
  ['Events', (item) => item.name.endsWith('Events')],
  ['Options and types', () => true],
];

/** What a reader meets first. */
const FIRST = ['Net', 'Room', 'Peer'];

function rankOf({ name }: DeclarationReflection): number {
  return FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length;
}

export function renderIndex(entries: readonly EntryPage[]): string {
  const rows = entries.map(({ name, file, about }) => `| [\`${name}\`](${file}) | ${about} |`);
  return `${GENERATED}\n\n# API reference\n\n| import from | |\n|---|---|\n${rows.join('\n')}\n\nHow to use it is told in the [guides](../guide/README.md); errors are listed in [errors.md](../errors.md).\n`;
}

export function renderPage(
  { name, about }: EntryPage,
  module: DeclarationReflection,
  entries: readonly EntryPage[],
): string {
  const items = (module.children ?? []).filter((item) => !(item instanceof ReferenceReflection));
  const links = linksOf(module, entries);
  const text = (comment: Comment | undefined): string => commentText(comment, links);
  const sections: string[] = [];
  let rest = items;
  for (const [title, belongs] of GROUPS) {
    const group = rest.filter(belongs).toSorted((a, b) => rankOf(a) - rankOf(b));
    rest = rest.filter((item) => !group.includes(item));
    if (group.length > 0)
      sections.push(`## ${title}`, ...group.map((item) => renderItem(item, text)));
  }
  const shared = (module.children ?? [])
    .filter((item) => item instanceof ReferenceReflection)
    .map((item) => links.get(item.name) ?? `\`${item.name}\``);
  if (shared.length > 0) sections.push('## As in `lumamesh`', `${shared.join(', ')}.`);
  return `${GENERATED}\n\n# ${name}\n\n${about}\n\n${sections.join('\n\n')}\n`;
}

/** Where each name of a page is explained. */
function linksOf(
  module: DeclarationReflection,
  entries: readonly EntryPage[],
): ReadonlyMap<string, string> {
  const main = entries[0]?.file ?? '';
  const links = new Map<string, string>();
  for (const item of module.children ?? []) {
    const page = item instanceof ReferenceReflection ? main : '';
    links.set(item.name, `[\`${item.name}\`](${page}#${item.name.toLowerCase()})`);
  }
  return links;
}

type TextOf = (comment: Comment | undefined) => string;

function renderItem(item: DeclarationReflection, text: TextOf): string {
  const isFunction = item.kind === ReflectionKind.Function;
  const title = `### ${item.name}${isFunction ? '()' : ''}`;
  const declared = item.type?.type === 'reflection' ? item.type.declaration : item;
  const parts = [title];
  const summary = text(item.comment);
  if (summary !== '') parts.push(summary);
  const isPlainType = declared === item || (declared.signatures?.length ?? 0) > 0;
  if (isFunction)
    parts.push(
      ...(item.signatures ?? []).map((signature) => renderFunction(item.name, signature, text)),
    );
  else if (item.name.endsWith('Events')) parts.push(renderEvents(item, text));
  else if (item.kind === ReflectionKind.TypeAlias && isPlainType)
    parts.push(code(`type ${item.name}${typeParameters(item)} = ${typeText(item.type)}`));
  else if (hasMethods(declared)) parts.push(renderMembers(declared, text));
  else parts.push(renderProperties(declared, text));
  return parts.join('\n\n');
}

function renderFunction(name: string, signature: SignatureReflection, text: TextOf): string {
  const parts = [
    code(signatureText(name, signature)),
    text(signature.comment),
    renderParameters(signature, text),
  ];
  return parts.filter((part) => part !== '').join('\n\n');
}

function renderParameters({ parameters = [] }: SignatureReflection, text: TextOf): string {
  const told = parameters
    .map(({ name, comment }) => [name, text(comment)] as const)
    .filter(([, about]) => about !== '');
  return told.map(([name, about]) => `- \`${name}\`: ${about}`).join('\n');
}

/** Methods and properties of an object, those first that have more to say. */
function renderMembers(item: DeclarationReflection, text: TextOf): string {
  const lines: string[] = [];
  for (const child of item.children ?? []) {
    for (const signature of child.signatures ?? []) {
      const name = child.kind === ReflectionKind.Constructor ? `new ${item.name}` : child.name;
      lines.push(
        member(
          signatureText(name, signature),
          [text(signature.comment), renderParameters(signature, text)].filter(Boolean).join('\n\n'),
        ),
      );
    }
    if (child.kind === ReflectionKind.Property)
      lines.push(member(propertyText(child), text(child.comment)));
    if (child.getSignature !== undefined)
      lines.push(
        member(
          `readonly ${child.name}: ${typeText(child.getSignature.type)}`,
          text(child.getSignature.comment),
        ),
      );
  }
  // Typedoc leaves the parameter of a generic base class standing in what accessors inherit.
  const [argument] =
    item.typeParameters === undefined ? (item.extendedTypes?.flatMap(argumentsOf) ?? []) : [];
  const all = lines.join('\n');
  return argument === undefined ? all : all.replaceAll(/\bP\b/g, typeText(argument));
}

function argumentsOf(type: SomeType): readonly SomeType[] {
  return type.type === 'reference' ? (type.typeArguments ?? []) : [];
}

function member(signature: string, about: string): string {
  // What follows the first line belongs to the same item.
  return `- \`${signature}\`${about === '' ? '' : `  \n  ${about.replaceAll('\n', '\n  ')}`}`.replaceAll(
    /\n +\n/g,
    '\n\n',
  );
}

function renderProperties(item: DeclarationReflection, text: TextOf): string {
  const rows = (item.children ?? []).map(
    (child) =>
      `| \`${child.name}${isOptional(child) ? '?' : ''}\` | ${cellCode(typeOf(child))} | ${cell(text(child.comment))} |`,
  );
  return ['| field | type | |', '|---|---|---|', ...rows].join('\n');
}

/** What a type of events has: its own, or those of the types that it is put together from. */
function eventsOf({ children, type }: DeclarationReflection): readonly DeclarationReflection[] {
  const ofType = (part: SomeType | undefined): readonly DeclarationReflection[] => {
    if (part?.type === 'reflection') return eventsOf(part.declaration);
    if (part?.type === 'intersection') return part.types.flatMap(ofType);
    if (part?.type !== 'reference') return [];
    return part.reflection instanceof DeclarationReflection ? eventsOf(part.reflection) : [];
  };
  return children ?? ofType(type);
}

/** `name: [argument, …]` */
function renderEvents(item: DeclarationReflection, text: TextOf): string {
  const rows = eventsOf(item).map(({ name, type, comment }) => {
    const listener = typeText(type).replace(/^\[(.*)\]$/s, '($1)');
    return `| \`${name}\` | ${cellCode(listener)} | ${cell(text(comment))} |`;
  });
  return ['| event | listener gets | |', '|---|---|---|', ...rows].join('\n');
}

function hasMethods(item: DeclarationReflection): boolean {
  return (item.children ?? []).some(
    ({ signatures, getSignature }) => (signatures?.length ?? 0) > 0 || getSignature !== undefined,
  );
}

function typeOf(item: DeclarationReflection): string {
  return typeText(item.type ?? item.getSignature?.type);
}

function isOptional(item: DeclarationReflection | ParameterReflection): boolean {
  return item.flags.isOptional;
}

function propertyText(item: DeclarationReflection): string {
  return `${item.flags.isReadonly ? 'readonly ' : ''}${item.name}${isOptional(item) ? '?' : ''}: ${typeOf(item)}`;
}

function typeParameters({
  typeParameters: parameters = [],
}: DeclarationReflection | SignatureReflection): string {
  const texts = parameters.map(
    ({ name, type, default: fallback }) =>
      name +
      (type === undefined ? '' : ` extends ${typeText(type)}`) +
      (fallback === undefined ? '' : ` = ${typeText(fallback)}`),
  );
  return texts.length === 0 ? '' : `<${texts.join(', ')}>`;
}

function signatureText(name: string, signature: SignatureReflection): string {
  const parameters = (signature.parameters ?? []).map((parameter) => {
    // One that is taken apart has no name of its own.
    const named = parameter.name.startsWith('__') ? 'options' : parameter.name;
    const mark = isOptional(parameter) || parameter.defaultValue !== undefined ? '?' : '';
    return `${parameter.flags.isRest ? '...' : ''}${named}${mark}: ${typeText(parameter.type)}`;
  });
  const isConstructor = signature.kind === ReflectionKind.ConstructorSignature;
  return `${name}${isConstructor ? '' : typeParameters(signature)}(${parameters.join(', ')})${isConstructor ? '' : `: ${typeText(signature.type)}`}`;
}

function commentText(comment: Comment | undefined, links: ReadonlyMap<string, string>): string {
  const join = (parts: readonly CommentDisplayPart[]): string =>
    parts
      .map((part) => (part.kind === 'inline-tag' ? linkText(part.text, links) : part.text))
      .join('');
  const returns =
    comment?.blockTags
      .filter(({ tag }) => tag === '@returns')
      .map(({ content }) => `Returns ${join(content)}`) ?? [];
  return [join(comment?.summary ?? []), ...returns].join('\n\n').trim();
}

function linkText(target: string, links: ReadonlyMap<string, string>): string {
  const [name = ''] = target.split('.');
  const link = links.get(name);
  return link === undefined ? `\`${target}\`` : link.replace(`\`${name}\``, `\`${target}\``);
}

function code(text: string): string {
  return `\`\`\`ts\n${text}\n\`\`\``;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll(/\s*\n\s*/g, ' ');
}

function cellCode(text: string): string {
  return `\`${cell(text)}\``;
}
