import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { it } from 'node:test';
import type { Page } from 'puppeteer-core';
import { patience, until } from '@lumamesh/testkit';
import { launchBrowser } from '@lumamesh/testkit/browsers';
import { whySkipped } from './support.ts';

const START = join(import.meta.dirname, '../../apps/site/src/node/start.ts');

/** Starts what `npm start` starts; answers the address that it prints. */
async function startDemo(): Promise<{ readonly url: string; readonly child: ChildProcess }> {
  const child = spawn(process.execPath, [START], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (data: Buffer) => (output += data.toString()));
  const urlIn = (): string | undefined => /http:\/\/localhost:\d+\//.exec(output)?.[0];
  await until(
    () => urlIn() !== undefined || child.exitCode !== null,
    () => output,
    60_000,
  );
  const url = urlIn();
  assert.ok(url !== undefined, output);
  return { url, child };
}

const step = (name: string): string =>
  `document.querySelector('[data-step="${name}"]')?.dataset.state === 'done'`;

it(
  'the demo shows two browsers find each other, chat, and see each other’s pointers',
  { skip: whySkipped() ?? false },
  async () => {
    const { url, child } = await startDemo();
    const browsers = await Promise.all([launchBrowser('chromium'), launchBrowser('firefox')]);
    try {
      const pages: Page[] = [];
      for (const browser of browsers) {
        const page = await browser.newPage();
        await page.goto(`${url}#room of a test`);
        pages.push(page);
      }
      for (const page of pages)
        for (const name of ['relay', 'room', 'peer', 'direct'])
          await page.waitForFunction(step(name), { timeout: patience(30_000) });
      const [a, b] = pages;
      assert.ok(a !== undefined && b !== undefined);
      await a.type('#text', '<b>hello</b>');
      await a.keyboard.press('Enter');
      await b.waitForFunction(
        `document.querySelector('#log').textContent.includes('<b>hello</b>')`,
        { timeout: patience(10_000) },
      );
      assert.equal(
        await b.evaluate(`document.querySelectorAll('#log b b').length`),
        0,
        'text stays text',
      );
      await b.mouse.move(120, 150);
      await b.mouse.move(200, 220);
      await a.waitForFunction(`document.querySelector('.cursor:not([hidden])') !== null`, {
        timeout: patience(10_000),
      });
      await browsers[1].close();
      await a.waitForFunction(`document.querySelector('#log').textContent.includes('left.')`, {
        timeout: patience(10_000),
      });
    } finally {
      for (const browser of browsers) await browser.close().catch(() => undefined);
      child.kill('SIGTERM');
      if (child.exitCode === null) await once(child, 'exit');
    }
  },
);
