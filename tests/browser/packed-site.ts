import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { installPacked, packedFile } from './packed.ts';
import { bundleHarness } from './support.ts';

/** Where what nobody has caught, and nobody answers for, is noted; there before anything else runs. */
const WATCH = `globalThis.unhandled = [];
addEventListener('error', ({ message }) => message && unhandled.push(message));
addEventListener('unhandledrejection', ({ reason }) => unhandled.push(String(reason?.stack ?? reason)));
`;
const TYPES: Readonly<Record<string, string>> = {
  js: 'text/javascript',
  map: 'application/json',
};

export type PackedSiteWay = 'import map' | 'classic script' | 'paste';

export interface SiteOptions {
  /**
   * How the page has the library: by an import map that leads to lumamesh.js; by a classic script; or
   * as an author pastes it, in the page itself. Nothing is bundled.
   */
  readonly by?: PackedSiteWay;
  /** Runs before anything of the library is there. */
  readonly before?: string;
  /** A content security policy, by the origin of the page; none by default. */
  readonly policy?: (origin: string) => string;
}

export interface PackedSite {
  readonly url: string;
  /** The files of the package that were asked for. */
  readonly served: ReadonlySet<string>;
  close(): Promise<void>;
}

/** A web server with the installed package in /lumamesh/, and the page of features.test.ts on it. */
export async function servePackedSite({
  by = 'import map',
  before = '',
  policy,
}: SiteOptions = {}): Promise<PackedSite> {
  // Takes longer on a busy machine than a browser waits for a page.
  installPacked();
  const html = await makePage(by, before);
  const served = new Set<string>();
  const server = createServer((request, response) => {
    const origin = `http://${request.headers.host ?? ''}`;
    const path = new URL(request.url ?? '/', origin).pathname;
    const headers = policy === undefined ? {} : { 'content-security-policy': policy(origin) };
    if (path === '/') {
      response.writeHead(200, { 'content-type': 'text/html', ...headers });
      response.end(html);
      return;
    }
    const [, file = ''] = /^\/lumamesh\/([\w.-]+)$/.exec(path) ?? [];
    if (file !== '') served.add(file);
    readFile(packedFile(file)).then(
      (content) => {
        const type = TYPES[file.split('.').at(-1) ?? ''] ?? 'text/plain';
        response.writeHead(200, { 'content-type': type });
        response.end(content);
      },
      () => response.writeHead(404).end(),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}/`,
    served,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

/** The page: what watches, the library, and the harness that uses it. */
async function makePage(by: PackedSiteWay, before: string): Promise<string> {
  const script = (code: string, type = ''): string =>
    `<script${type}>${code.replaceAll('</script', '<\\/script')}</script>`;
  const module = (code: string): string => script(code, ' type="module"');
  const head = `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">${script(WATCH + before)}`;
  const harness = await bundleHarness('features.ts', { external: ['lumamesh'] });
  /** What it imports, taken from an object in place of a module. */
  const taken = (object: string): string =>
    harness.replace(
      /^import (\{[^]*?\}) from "lumamesh";/m,
      (_whole, names: string) => `const ${names.replaceAll(' as ', ': ')} = ${object};`,
    );
  if (by === 'classic script')
    return `${head}<script src="/lumamesh/lumamesh.global.js"></script>${module(taken('globalThis.Lumamesh'))}`;
  if (by === 'import map') {
    const map = { imports: { lumamesh: '/lumamesh/lumamesh.js' } };
    return `${head}${script(JSON.stringify(map), ' type="importmap"')}${module(harness)}`;
  }
  const library = await readFile(packedFile('lumamesh.js'), 'utf8');
  const pasted = library.replace(/\bexport\s*\{([^}]*)\};?/, (_whole, list: string) => {
    const pairs = [...list.matchAll(/(\w+)\s+as\s+(\w+)/g)];
    return `globalThis.pasted={${pairs.map(([, own, name]) => `${name}:${own}`).join()}};`;
  });
  return `${head}${module(pasted)}${module(taken('globalThis.pasted'))}`;
}
