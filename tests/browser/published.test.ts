import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { createContext, runInContext } from 'node:vm';
import { type StrictPage, serveStrictPage } from '@lumamesh/testkit/browsers';
import { build } from 'esbuild';
import { ENTRIES, FILES_APART, GLOBAL_FILE } from '../../tools/client-entries.ts';
import { installPacked, packedFile } from './packed.ts';
import { bundleHarness, startRelay, whySkipped } from './support.ts';
import { Tab } from './tab.ts';

/* The files as they are published: their names are shortened, so that what works in the sources need not work there. */

const skip = whySkipped() ?? false;
const ROOT = join(import.meta.dirname, '../..');

/** The page of features.test.ts with a published file in the place of the sources. */
async function servePublished(file: string): Promise<StrictPage> {
  return serveStrictPage(
    await bundleHarness('features.ts', {
      external: ['./lumamesh-*.js'],
      plugins: [
        {
          name: 'published',
          setup: (bundler) =>
            bundler.onResolve({ filter: /^lumamesh$/ }, () => ({ path: packedFile(file) })),
        },
      ],
    }),
  );
}

describe('the published files', { skip }, () => {
  it('lumamesh.js does in Chromium and Firefox what the sources do', async () => {
    const relay = await startRelay();
    const page = await servePublished('lumamesh.js');
    const tabs = [
      await Tab.open('chromium', page.url),
      await Tab.open('firefox', page.url),
    ] as const;
    const [ada, bob] = tabs;
    try {
      await ada.call('join', { relays: [relay.record] }, 'tea', {
        nick: 'Ada',
        password: 'sesame',
      });
      await ada.waitFor('joined', 0);
      await bob.call('join', { relays: [relay.record] }, 'tea', {
        nick: 'Bob',
        password: 'sesame',
      });
      await Promise.all([ada.waitFor('open', 'Bob'), bob.waitFor('open', 'Ada')]);
      await ada.call('move', 'Bob', 5);
      await bob.waitFor('move', ['Ada', 5]);
      assert.equal(await bob.call('request', 'Ada', 'add', [40, 2]), 42);
      assert.ok((await ada.call<{ isSent: boolean }>('sendBytes', 'Bob', 1_000_000)).isSent);
      const sending = bob.call('sendFile', 'Ada', 300_000, 'a.txt');
      await ada.waitFor('file', { name: 'a.txt', size: 300_000, type: 'text/plain' });
      assert.ok((await ada.call<{ isRight: boolean }>('acceptFile', 0)).isRight);
      assert.equal(await sending, 'sent');
      await ada.call('addVideo', { of: 'a canvas' });
      await bob.waitFor('stream', { of: 'a canvas' });
      await relay.restart();
      await bob.call('close');
      await ada.waitFor('leave', 'Bob left');
    } finally {
      for (const tab of tabs) await tab.close();
      await page.close();
      await relay.close();
    }
  });

  it('lumamesh-core.js meets who has the whole', async () => {
    const relay = await startRelay();
    const [whole, core] = [await servePublished('lumamesh.js'), await serveCore()];
    const [ada, bob] = [
      await Tab.open('chromium', whole.url),
      await Tab.open('chromium', core.url),
    ];
    try {
      await ada.call('join', { relays: [relay.record] }, 'tea', { nick: 'Ada' });
      await bob.page.evaluate(`globalThis.harness.join(${JSON.stringify(relay.record)}, false)`);
      await ada.waitFor('open', 'Bob');
      await ada.call('sendBytes', 'Bob', 500_000);
      await ada.call('move', 'Bob', 5);
      await ada.call('send', 'Bob', 'small');
      await bob.page.waitForFunction("globalThis.harness.heard.includes('small')");
      assert.deepEqual(
        await bob.page.evaluate('globalThis.harness.heard'),
        [500_000, 'small'],
        'what it does not know it passes over',
      );
      await bob.page.evaluate("globalThis.harness.room.broadcast('back')");
      await ada.waitFor('data', 'back');
    } finally {
      await ada.close();
      await bob.close();
      await Promise.all([whole.close(), core.close()]);
      await relay.close();
    }
  });

  it('lumamesh-core.js has the features that a page picks, and no others', async () => {
    const relay = await startRelay();
    const [whole, core] = [await servePublished('lumamesh.js'), await serveCore()];
    const [ada, bob] = [
      await Tab.open('chromium', whole.url),
      await Tab.open('chromium', core.url),
    ];
    try {
      await ada.call('join', { relays: [relay.record] }, 'tea', { nick: 'Ada' });
      await bob.page.evaluate(`globalThis.harness.join(${JSON.stringify(relay.record)}, true)`);
      await ada.waitFor('open', 'Bob');
      await bob.page.waitForFunction('globalThis.harness.peer?.isOpen');
      assert.ok(Number(await bob.page.evaluate('globalThis.harness.peer.rtt()')) >= 0);
      assert.deepEqual(
        await bob.page.evaluate(
          "['request', 'sendFile', 'addStream'].map((name) => name in globalThis.harness.peer)",
        ),
        [true, true, false],
      );
    } finally {
      await ada.close();
      await bob.close();
      await Promise.all([whole.close(), core.close()]);
      await relay.close();
    }
  });

  it('have every name that docs/api gives to nets, rooms and peers', async () => {
    const relay = await startRelay();
    const page = await servePublished('lumamesh.js');
    const tabs = [
      await Tab.open('chromium', page.url),
      await Tab.open('firefox', page.url),
    ] as const;
    const [ada, bob] = tabs;
    try {
      for (const [tab, nick] of [
        [ada, 'Ada'],
        [bob, 'Bob'],
      ] as const)
        await tab.call('join', { relays: [relay.record] }, 'tea', { nick });
      await Promise.all([ada.waitFor('open', 'Bob'), bob.waitFor('open', 'Ada')]);
      const documented = documentedNames(
        await readFile(join(ROOT, 'docs/api/lumamesh.md'), 'utf8'),
      );
      assert.ok(documented.get('Peer')?.includes('rttMs'), 'names are read from the document');
      for (const tab of tabs)
        assert.deepEqual(await tab.call('missingNames', Object.fromEntries(documented)), []);
      // Measured by the pings of the connection itself.
      await ada.page.waitForFunction("globalThis.harness.rttMs('Bob') > 0");
    } finally {
      for (const tab of tabs) await tab.close();
      await page.close();
      await relay.close();
    }
  });

  it('need nothing from beside them but what is said here', async () => {
    // What is fetched only when it is needed; and what the page shares with its features or hooks.
    const apart: Readonly<Record<string, readonly string[]>> = {
      'lumamesh.js': ['./lumamesh-ed25519.js', './lumamesh-network.js', './lumamesh-statistics.js'],
      'lumamesh-core.js': ['./lumamesh-ed25519.js'],
      'lumamesh-features.js': [
        './lumamesh-core.js',
        './lumamesh-network.js',
        './lumamesh-statistics.js',
      ],
    };
    for (const [file, expected] of Object.entries(apart)) {
      const text = await readFile(packedFile(file), 'utf8');
      const imported = [...text.matchAll(/(?:from|import\()\s*["']([^"']+)/g)].map(
        ([, path]) => path,
      );
      assert.deepEqual(new Set(imported), new Set(expected));
    }
    for (const file of [
      'lumamesh.cjs',
      'lumamesh-core.cjs',
      GLOBAL_FILE,
      ...Object.keys(FILES_APART),
    ])
      assert.doesNotMatch(await readFile(packedFile(file), 'utf8'), /\b(require|import)\(["']/);
    const manifest = JSON.parse(await readFile(packedFile('package.json'), 'utf8')) as {
      exports: Record<string, unknown>;
      dependencies?: unknown;
    };
    assert.deepEqual(Object.keys(manifest.exports), [
      ...ENTRIES.map(({ subpath }) => subpath),
      './package.json',
    ]);
    assert.equal(manifest.dependencies, undefined);
  });

  it('ask for nothing when they are imported: no browser, and nothing else but the language', async () => {
    for (const { subpath } of ENTRIES) {
      const name = subpath.replace('.', 'lumamesh');
      for (const script of [
        `await import('${name}')`,
        `process.getBuiltinModule('module').createRequire('${installPacked()}/')('${name}')`,
      ]) {
        const { status, stderr } = spawnSync(
          process.execPath,
          ['--input-type=module', '-e', script],
          { encoding: 'utf8', cwd: installPacked() },
        );
        assert.equal(status, 0, stderr);
      }
    }
    // As in Jest's jsdom, which has neither TextEncoder nor WebCrypto.
    const context = createContext({});
    runInContext(await readFile(packedFile(GLOBAL_FILE), 'utf8'), context);
    const code: unknown = runInContext(
      'try { Lumamesh.connect({ relays: [] }) } catch (error) { error.code }',
      context,
    );
    assert.equal(code, 'INSECURE_ORIGIN');
  });

  it('throw errors of one kind, whichever file throws and whichever is asked', () => {
    const script = `
      const [whole, core] = [await import('lumamesh'), await import('lumamesh/core')];
      const error = new core.LumameshError('CODE', 'text');
      const others = [null, undefined, 1, {}, new Error('text')];
      console.log(error instanceof whole.LumameshError, whole.LumameshError === core.LumameshError,
        others.some((other) => other instanceof whole.LumameshError));`;
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
      cwd: installPacked(),
    });
    assert.equal(stdout, 'true false false\n', stderr);
  });

  it('have maps with the sources in them, by paths of the repository', async () => {
    for (const file of [
      ...ENTRIES.flatMap((entry) => [`${entry.file}.js`, `${entry.file}.cjs`]),
      GLOBAL_FILE,
      ...Object.keys(FILES_APART),
    ]) {
      assert.match(
        await readFile(packedFile(file), 'utf8'),
        new RegExp(`\n//# sourceMappingURL=${file.replaceAll('.', '\\.')}\\.map\n$`),
      );
      const map = JSON.parse(await readFile(packedFile(`${file}.map`), 'utf8')) as {
        sources: string[];
        sourcesContent: (string | null)[];
      };
      assert.ok(map.sources.length > 0 && map.sources.length === map.sourcesContent.length);
      for (const [i, source] of map.sources.entries()) {
        assert.match(source, /^(packages|node_modules)\//);
        assert.equal(map.sourcesContent[i], await readFile(join(ROOT, source), 'utf8'), source);
      }
    }
  });
});

/** The members of each object, as docs/api lists them under "Objects". */
function documentedNames(document: string): Map<string, string[]> {
  const objects = document.split('## Objects')[1]?.split('\n## ')[0] ?? '';
  const names = new Map<string, string[]>();
  for (const section of objects.split('\n### ').slice(1)) {
    const [title = ''] = section.split('\n');
    const members = [...section.matchAll(/^- `(?:readonly )?(\w+)/gm)].map(
      ([, name]) => name ?? '',
    );
    names.set(title.trim(), members);
  }
  return names;
}

async function serveCore(): Promise<StrictPage> {
  const { outputFiles } = await build({
    stdin: {
      contents: `import { connect } from ${JSON.stringify(packedFile('lumamesh-core.js'))};
        import { files, requests } from ${JSON.stringify(packedFile('lumamesh-features.js'))};
        globalThis.harness = {
          heard: [],
          room: null,
          peer: null,
          join(relay, picks) {
            const features = picks ? [requests(), files()] : [];
            this.room = connect({ relays: [relay], features }).joinRoom('tea', { nick: 'Bob' });
            this.room.on('peer', (peer) => {
              this.peer = peer;
              peer.on('data', (value) => this.heard.push(value.byteLength ?? value));
            });
          },
        };`,
      resolveDir: ROOT,
    },
    bundle: true,
    write: false,
    format: 'esm',
    external: Object.keys(FILES_APART).map((file) => `./${file}`),
  });
  return serveStrictPage(outputFiles[0]?.text ?? '');
}
