import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';
import ts from '@typescript/typescript6';

/*
 * Which branches an input takes. Our sources are rewritten as they are loaded: a counter at the
 * beginning of each function, branch, loop, case and right side of a logical operator. That costs a
 * few nanoseconds each, where V8's own coverage costs milliseconds for each time it is read.
 */
const MAX_COUNTERS = 65_536;
const COUNTERS = 'lumamesh_fuzz_counters';
const OURS =
  /\/packages\/(base|protocol|transport|relay|client|adapters\/yjs)\/src\/.*(?<!\.test)\.ts$/;

const counters = new Uint8Array(MAX_COUNTERS);
const words = new Uint32Array(counters.buffer);
let used = 0;
/** Words and numbers that the sources compare input with. */
const literals = new Set<string | number>();
Object.assign(globalThis, { [COUNTERS]: counters });

/** Rewrites what is imported from now on. */
export function instrumentSources(): void {
  registerHooks({
    load(url, context, nextLoad) {
      if (!OURS.test(url)) return nextLoad(url, context);
      const { outputText } = ts.transpileModule(readFileSync(fileURLToPath(url), 'utf8'), {
        compilerOptions: {
          target: ts.ScriptTarget.ESNext,
          module: ts.ModuleKind.ESNext,
          verbatimModuleSyntax: true,
        },
        transformers: { before: [withCounters] },
      });
      return { format: 'module', source: outputText, shortCircuit: true };
    },
  });
}

export function knownLiterals(): readonly (string | number)[] {
  return [...literals];
}

/** How many counters the sources have that are loaded. */
export function counterCount(): number {
  return used;
}

/**
 * What one target has been seen to do. As in AFL, a branch counts anew when it is taken about twice
 * as often as before.
 */
export class Seen {
  readonly #buckets = new Uint8Array(MAX_COUNTERS);
  #features = 0;

  get features(): number {
    return this.#features;
  }

  /** Runs `act`; returns how much of what it did had not been seen, and what it returned. */
  watch<T>(act: () => T): readonly [number, T] {
    counters.fill(0, 0, used);
    const result = act();
    let news = 0;
    const end = (used + 3) >> 2;
    for (let word = 0; word < end; word++) {
      if (words[word] === 0) continue;
      for (let i = word * 4; i < word * 4 + 4; i++) {
        const count = counters[i] ?? 0;
        if (count === 0) continue;
        const bit = 1 << Math.min(7, 31 - Math.clz32(count));
        const before = this.#buckets[i] ?? 0;
        if ((before & bit) !== 0) continue;
        this.#buckets[i] = before | bit;
        news += 1;
      }
    }
    this.#features += news;
    return [news, result];
  }
}

function withCounters(context: ts.TransformationContext): ts.Transformer<ts.SourceFile> {
  const { factory } = context;
  const count = (): ts.Expression => {
    const index = Math.min(used++, MAX_COUNTERS - 1);
    const counter = factory.createElementAccessExpression(
      factory.createIdentifier(COUNTERS),
      index,
    );
    return factory.createPostfixIncrement(counter);
  };
  const counting = (expression: ts.Expression): ts.Expression =>
    factory.createParenthesizedExpression(factory.createComma(count(), expression));
  const inBlock = (statement: ts.Statement): ts.Block =>
    ts.isBlock(statement)
      ? factory.updateBlock(statement, [
          factory.createExpressionStatement(count()),
          ...statement.statements,
        ])
      : factory.createBlock([factory.createExpressionStatement(count()), statement]);
  const visit = (node: ts.Node): ts.Node => {
    if (ts.isTypeNode(node)) return node;
    if (ts.isStringLiteral(node) && node.text.length <= 32) literals.add(node.text);
    if (ts.isNumericLiteral(node)) literals.add(Number(node.text.replaceAll('_', '')));
    const done = ts.visitEachChild(node, visit, context);
    if (ts.isIfStatement(done))
      return factory.updateIfStatement(
        done,
        done.expression,
        inBlock(done.thenStatement),
        inBlock(done.elseStatement ?? factory.createBlock([])),
      );
    if (ts.isConditionalExpression(done))
      return factory.updateConditionalExpression(
        done,
        done.condition,
        done.questionToken,
        counting(done.whenTrue),
        done.colonToken,
        counting(done.whenFalse),
      );
    if (ts.isBinaryExpression(done) && LOGICAL.has(done.operatorToken.kind))
      return factory.updateBinaryExpression(
        done,
        done.left,
        done.operatorToken,
        counting(done.right),
      );
    if (ts.isCaseClause(done) && done.statements.length > 0)
      return factory.updateCaseClause(done, done.expression, [
        factory.createExpressionStatement(count()),
        ...done.statements,
      ]);
    if (ts.isForStatement(done))
      return factory.updateForStatement(
        done,
        done.initializer,
        done.condition,
        done.incrementor,
        inBlock(done.statement),
      );
    if (ts.isForOfStatement(done))
      return factory.updateForOfStatement(
        done,
        done.awaitModifier,
        done.initializer,
        done.expression,
        inBlock(done.statement),
      );
    if (ts.isWhileStatement(done))
      return factory.updateWhileStatement(done, done.expression, inBlock(done.statement));
    if ((ts.isMethodDeclaration(done) || ts.isFunctionDeclaration(done)) && done.body !== undefined)
      return withBody(done, inBlock(done.body));
    return done;
  };
  const withBody = (node: ts.MethodDeclaration | ts.FunctionDeclaration, body: ts.Block): ts.Node =>
    ts.isMethodDeclaration(node)
      ? factory.updateMethodDeclaration(
          node,
          node.modifiers,
          node.asteriskToken,
          node.name,
          node.questionToken,
          node.typeParameters,
          node.parameters,
          node.type,
          body,
        )
      : factory.updateFunctionDeclaration(
          node,
          node.modifiers,
          node.asteriskToken,
          node.name,
          node.typeParameters,
          node.parameters,
          node.type,
          body,
        );
  return (file) => ts.visitNode(file, visit, ts.isSourceFile);
}

const LOGICAL = new Set([
  ts.SyntaxKind.AmpersandAmpersandToken,
  ts.SyntaxKind.BarBarToken,
  ts.SyntaxKind.QuestionQuestionToken,
]);
