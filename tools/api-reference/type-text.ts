import type { DeclarationReflection, SignatureReflection, SomeType, Type } from 'typedoc';

/** A type as one would write it. */
export function typeText(type: Type | undefined): string {
  // Every type is one of these; typedoc says so in this form only.
  const known = type as SomeType | undefined;
  switch (known?.type) {
    case undefined:
      return 'void';
    case 'reflection':
      return objectText(known.declaration);
    case 'reference':
      // By the name it is exported under, where it is.
      return (known.reflection?.name ?? known.name) + argumentsText(known.typeArguments);
    case 'array':
      return `${grouped(known.elementType)}[]`;
    case 'typeOperator':
      return `${known.operator} ${grouped(known.target)}`;
    case 'union':
      return known.types
        .map((member) => (isFunction(member) ? `(${typeText(member)})` : typeText(member)))
        .join(' | ');
    case 'intersection':
      return known.types.map((member) => grouped(member)).join(' & ');
    case 'tuple':
      return `[${known.elements.map((element) => typeText(element)).join(', ')}]`;
    case 'namedTupleMember':
      return `${known.name}${known.isOptional ? '?' : ''}: ${typeText(known.element)}`;
    case 'optional':
      return `${grouped(known.elementType)}?`;
    case 'rest':
      return `...${typeText(known.elementType)}`;
    case 'indexedAccess':
      return `${grouped(known.objectType)}[${typeText(known.indexType)}]`;
    case 'literal':
      return typeof known.value === 'string' ? `'${known.value}'` : String(known.value);
    default:
      return known?.toString() ?? '';
  }
}

function argumentsText(types: readonly Type[] | undefined): string {
  return types === undefined || types.length === 0
    ? ''
    : `<${types.map((type) => typeText(type)).join(', ')}>`;
}

function isFunction(type: Type): boolean {
  const known = type as SomeType;
  return known.type === 'reflection' && (known.declaration.signatures?.length ?? 0) > 0;
}

function grouped(type: Type): string {
  const needsGroup =
    isFunction(type) ||
    type.type === 'union' ||
    type.type === 'intersection' ||
    type.type === 'typeOperator';
  return needsGroup ? `(${typeText(type)})` : typeText(type);
}

function objectText({
  signatures = [],
  children = [],
  indexSignatures = [],
}: DeclarationReflection): string {
  const [signature] = signatures;
  if (signature !== undefined)
    return `(${parametersText(signature)}) => ${typeText(signature.type)}`;
  const fields = children.map((child) => {
    const method = child.signatures?.[0];
    const mark = child.flags.isOptional ? '?' : '';
    return method === undefined
      ? `${child.flags.isReadonly ? 'readonly ' : ''}${child.name}${mark}: ${typeText(child.type)}`
      : `${child.name}${mark}(${parametersText(method)}): ${typeText(method.type)}`;
  });
  const indexed = indexSignatures.map(
    (index) => `[${parametersText(index)}]: ${typeText(index.type)}`,
  );
  const all = [...fields, ...indexed];
  return all.length === 0 ? '{}' : `{ ${all.join('; ')} }`;
}

function parametersText({ parameters = [] }: SignatureReflection): string {
  return parameters
    .map(({ name, flags, type }, i) => {
      const named = name.startsWith('__') ? (i === 0 ? 'value' : `value${i}`) : name;
      return `${flags.isRest ? '...' : ''}${named}${flags.isOptional ? '?' : ''}: ${typeText(type)}`;
    })
    .join(', ');
}
