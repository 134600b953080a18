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

/** A point of the canvas that has been drawn on. */
const isDrawnOn = `(() => {
  const canvas = document.querySelector('#canvas');
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  return data.some((byte) => byte > 0);
})()`;

it(
  'the notebook and the canvas are shared, and go on when the relay is stopped',
  { skip: whySkipped() ?? false },
  async () => {
    const { url, child } = await startDemo();
    const browsers = await Promise.all([launchBrowser('chromium'), launchBrowser('firefox')]);
    const timeout = patience(30_000);
    try {
      const pages: Page[] = [];
      for (const browser of browsers) {
        const page = await browser.newPage();
        // Both halves of the page are to be seen.
        await page.setViewport({ width: 1280, height: 800 });
        await page.goto(`${url}together#of a test`);
        pages.push(page);
      }
      const [a, b] = pages;
      assert.ok(a !== undefined && b !== undefined);
      for (const page of pages)
        await page.waitForFunction(`document.querySelectorAll('#people li').length === 2`, {
          timeout,
        });
      await a.type('#notes', 'one line');
      await b.waitForFunction(`document.querySelector('#notes').value === 'one line'`, { timeout });
      await b.waitForFunction(`document.querySelector('.caret') !== null`, { timeout });
      child.kill('SIGTERM');
      await once(child, 'exit');
      for (const page of pages)
        await page.waitForFunction(`!document.querySelector('#note').hidden`, { timeout });
      await b.focus('#notes');
      await b.keyboard.press('Home');
      await b.keyboard.type('offline: ');
      await a.waitForFunction(
        `document.querySelector('#notes').value === 'offline: one line' && document.querySelector('#notes').selectionStart === 17`,
        { timeout },
      );
      assert.equal(await b.evaluate(isDrawnOn), false);
      const canvas = await a.$('#canvas');
      const box = await canvas?.boundingBox();
      assert.ok(box !== null && box !== undefined);
      await a.mouse.move(box.x + 40, box.y + 40);
      await a.mouse.down();
      await a.mouse.move(box.x + 160, box.y + 120, { steps: 12 });
      await a.mouse.up();
      await b.waitForFunction(isDrawnOn, { timeout });
      await b.waitForFunction(`document.querySelector('.pen') !== null`, { timeout });
      // What another has drawn is not undone; what is one's own is.
      await b.click('#undo');
      await a.click('#undo');
      await b.waitForFunction(`!${isDrawnOn}`, { timeout });
    } finally {
      for (const browser of browsers) await browser.close().catch(() => undefined);
      child.kill('SIGTERM');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    }
  },
);
