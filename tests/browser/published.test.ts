import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { type StrictPage, serveStrictPage } from '@lumamesh/testkit/browsers';
import { build } from 'esbuild';
import { startRelay, whySkipped } from './support.ts';
import { Tab } from './tab.ts';

/* The files as they are published: their names are shortened, so that what works in the sources need not work there. */

const skip = whySkipped() ?? false;
const ROOT = join(import.meta.dirname, '../..');
const DIST = join(ROOT, 'packages/client/dist');

/** The page of features.test.ts with a published file in the place of the sources. */
async function servePublished(file: string): Promise<StrictPage> {
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, 'page/features.ts')],
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    external: ['./lumamesh-*.js'],
    plugins: [
      {
        name: 'published',
        setup: (bundler) =>
          bundler.onResolve({ filter: /^lumamesh$/ }, () => ({ path: join(DIST, file) })),
      },
    ],
  });
  return serveStrictPage(outputFiles[0]?.text ?? '');
}

describe('the published files', { skip }, () => {
  before(() => {
    const { status, stderr } = spawnSync(process.execPath, [join(ROOT, 'tools/build-client.ts')], {
      cwd: ROOT,
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
  });

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
        ['small'],
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

  it('need nothing from beside them, and say what they are', async () => {
    // What is fetched only when it is needed.
    const apart = {
      'lumamesh.js': ['./lumamesh-ed25519.js', './lumamesh-network.js'],
      'lumamesh-core.js': ['./lumamesh-ed25519.js'],
      'lumamesh-features.js': ['./lumamesh-core.js', './lumamesh-network.js'],
    };
    for (const [file, expected] of Object.entries(apart)) {
      const text = await readFile(join(DIST, file), 'utf8');
      const imported = [...text.matchAll(/(?:from|import\()\s*["']([^"']+)/g)].map(
        ([, path]) => path,
      );
      assert.deepEqual(new Set(imported), new Set(expected));
    }
    const manifest = JSON.parse(await readFile(join(DIST, 'package.json'), 'utf8')) as {
      exports: Record<string, unknown>;
      dependencies?: unknown;
    };
    assert.deepEqual(Object.keys(manifest.exports), [
      '.',
      './core',
      './features',
      './node',
      './react',
    ]);
    assert.equal(manifest.dependencies, undefined);
    // Importing does nothing: no global is touched where there is no browser.
    for (const file of [
      'lumamesh.js',
      'lumamesh-core.js',
      'lumamesh-features.js',
      'lumamesh-node.js',
    ]) {
      const { status, stderr } = spawnSync(
        process.execPath,
        ['--input-type=module', '-e', `await import(${JSON.stringify(join(DIST, file))})`],
        {
          encoding: 'utf8',
        },
      );
      assert.equal(status, 0, stderr);
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
      contents: `import { connect } from ${JSON.stringify(join(DIST, 'lumamesh-core.js'))};
        import { files, requests } from ${JSON.stringify(join(DIST, 'lumamesh-features.js'))};
        globalThis.harness = {
          heard: [],
          room: null,
          peer: null,
          join(relay, picks) {
            const features = picks ? [requests(), files()] : [];
            this.room = connect({ relays: [relay], features }).joinRoom('tea', { nick: 'Bob' });
            this.room.on('peer', (peer) => {
              this.peer = peer;
              peer.on('data', (value) => this.heard.push(value));
            });
          },
        };`,
      resolveDir: ROOT,
    },
    bundle: true,
    write: false,
    format: 'esm',
    external: ['./lumamesh-ed25519.js', './lumamesh-network.js'],
  });
  return serveStrictPage(outputFiles[0]?.text ?? '');
}
