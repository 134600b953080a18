import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { build } from 'esbuild';
import type { Browser, Page } from 'puppeteer-core';
import { encodeRecordLine } from '@lumamesh/protocol';
import { until } from '@lumamesh/testkit';
import { type BrowserName, launchBrowser, serveStrictPage } from '@lumamesh/testkit/browsers';
import {
  type ExampleBlock,
  exampleDocuments,
  isFirstRead,
  readExamples,
} from './example-blocks.ts';
import { fromPacked } from './packed.ts';
import { BROWSERS, startRelay, whySkipped } from './support.ts';

const skip = whySkipped() ?? false;
const HARNESS = join(import.meta.dirname, 'page/example-harness.ts');
/** A camera that shows a test picture, and a user who says yes. */
const FAKE_CAMERA = [
  '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream',
  '--auto-accept-this-tab-capture',
];

/** An example as one script, which sees the harness in place of the library. */
async function bundle(
  { code, html }: ExampleBlock,
  relayLine: string,
  tab: number,
): Promise<string> {
  const banner = `Object.assign(globalThis, ${JSON.stringify({ RELAYS: relayLine, tab })});\ndocument.body.innerHTML = ${JSON.stringify(html)};`;
  const result = await build({
    // The harness comes first: what an example says while it loads is heard.
    stdin: {
      contents: `import ${JSON.stringify(HARNESS)};\nimport 'example';`,
      resolveDir: import.meta.dirname,
    },
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    banner: { js: banner },
    plugins: [
      {
        name: 'example',
        setup(builder) {
          builder.onResolve({ filter: /^example$/ }, ({ path }) => ({
            path,
            namespace: 'example',
          }));
          builder.onResolve({ filter: /^lumamesh$/ }, ({ importer }) =>
            importer === HARNESS ? undefined : { path: HARNESS },
          );
          builder.onLoad({ filter: /.*/, namespace: 'example' }, () => ({
            contents: code,
            loader: 'js',
            resolveDir: import.meta.dirname,
          }));
        },
      },
      fromPacked(),
    ],
  });
  return result.outputFiles[0]?.text ?? '';
}

/** Waits until an expression is true in all tabs; fails with what they have seen. */
async function waitFor(pages: readonly Page[], expression: string): Promise<void> {
  let isTrue: readonly unknown[] = [];
  await until(
    async () => {
      isTrue = await Promise.all(pages.map((page) => page.evaluate(`Boolean(${expression})`)));
      return isTrue.every(Boolean);
    },
    async () => {
      const reports = await Promise.all(pages.map((page) => page.evaluate('example.report()')));
      return `not true in ${JSON.stringify(isTrue)}: ${expression}\n${JSON.stringify(reports, null, 2)}`;
    },
  );
}

async function run(example: ExampleBlock, browsers: readonly [Browser, Browser]): Promise<void> {
  const relay = await startRelay();
  const ends: (() => Promise<unknown>)[] = [() => relay.close()];
  const pages: Page[] = [];
  const errors: string[] = [];
  try {
    for (const [tab, browser] of browsers.entries()) {
      const strictPage = await serveStrictPage(
        await bundle(example, encodeRecordLine(relay.record), tab),
      );
      ends.unshift(() => strictPage.close());
      // Of its own: two tabs of one visitor share what the browser stores.
      const context = await browser.createBrowserContext();
      ends.unshift(() => context.close());
      const page = await context.newPage();
      page.on('pageerror', (error) => {
        // Firefox reports so that the strict page has no icon.
        if (!String(error).includes('Content-Security-Policy'))
          errors.push(`tab ${tab}: ${String(error)}`);
      });
      await page.goto(strictPage.url);
      pages.push(page);
    }
    if (example.meets) await waitFor(pages, 'globalThis.example?.hasMet()');
    for (const action of example.actions) await pages[0]?.evaluate(`(async () => { ${action} })()`);
    for (const expectation of example.expectations) await waitFor(pages, expectation);
    for (const page of pages)
      errors.push(...((await page.evaluate('example.faults()')) as string[]));
    assert.deepEqual(errors, []);
  } finally {
    for (const page of pages)
      await page.evaluate('globalThis.example?.close()').catch(() => undefined);
    for (const end of ends) await end().catch(() => undefined);
  }
}

describe('the examples of the documents', { skip }, () => {
  const documents = exampleDocuments().map(
    (document) => [document, readExamples(document)] as const,
  );
  const started = new Map<string, Promise<Browser>>();
  /** Browsers are shared by all examples; a tab that is not in front is held back, so each has one of its own. */
  const start = (name: BrowserName, tab: number): Promise<Browser> => {
    const key = `${name} ${tab}`;
    const browser =
      started.get(key) ?? launchBrowser(name, undefined, name === 'chromium' ? FAKE_CAMERA : []);
    started.set(key, browser);
    return browser;
  };

  for (const [document, examples] of documents) {
    for (const example of examples) {
      for (const first of isFirstRead(document) ? BROWSERS : BROWSERS.slice(0, 1)) {
        it(`${example.place}, ${first} and chromium`, async () => {
          await run(example, [await start(first, 0), await start('chromium', 1)]);
        });
      }
    }
  }

  after(async () => {
    for (const browser of started.values()) await (await browser).close();
  });
});
