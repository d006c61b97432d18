import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchBrowser, withPage } from '../support/browser.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { until } from '../support/until.ts';
import { readPage } from '../support/watch-page.ts';

let server: TestServer;
let browser: Browser;

beforeAll(async () => {
  server = await startServer();
  browser = await launchBrowser();
});

afterAll(async () => {
  await browser?.close();
  await server?.close();
});

/** Opens a page as a phone of 360 px does. */
function onPhone(path: string, run: (page: Page) => Promise<void>): Promise<void> {
  const open = async (page: Page): Promise<void> => {
    await page.goto(server.mediaUrl + path);
    await run(page);
  };
  return withPage(browser, open, { viewport: { width: 360, height: 740 }, hasTouch: true });
}

/** Name and role of what has the keyboard focus. */
function focused(page: Page): Promise<string> {
  return page.evaluate(() => {
    const { activeElement } = document;
    if (!activeElement || activeElement === document.body) return '';
    const label = activeElement.closest('label') ?? activeElement.parentElement?.querySelector('label');
    const name =
      activeElement.getAttribute('aria-label') ??
      (activeElement.textContent?.trim() || label?.textContent?.trim());
    return `${activeElement.tagName.toLowerCase()} ${name ?? ''}`.trim();
  });
}

describe('the watch page', () => {
  it.each(['/', '/live/show/'])('fits a phone without scrolling sideways: %s', async (path) => {
    await onPhone(path, async (page) => {
      const width = await page.evaluate(() => document.documentElement.scrollWidth);
      expect(width).toBeLessThanOrEqual(360);
    });
  });

  it('says that a stream is not on the air, in a way that a screen reader tells', async () => {
    await onPhone('/live/show/', async (page) => {
      await until(async () => (await readPage(page)).state === 'offline', 'offline');
      const told = await page.locator('[aria-live="polite"], [role="status"]').allTextContents();
      expect(told.join(' ').trim()).not.toBe('');
    });
  });

  it('gives everything that can be used a name, and the keyboard a way to it', async () => {
    await onPhone('/live/show/', async (page) => {
      const snapshot = await page.locator('body').ariaSnapshot();
      const nameless = snapshot
        .split('\n')
        .filter((line) => /- (button|radio|slider|link|combobox)\s*(\[|:|$)/.test(line));
      expect(nameless).toEqual([]);
      const reached = new Set<string>();
      for (let i = 0; i < 25; i++) {
        await page.keyboard.press('Tab');
        reached.add(await focused(page));
      }
      const all = [...reached].join('\n');
      // Play is disabled while there is nothing to play.
      const controls = [/mute/i, /full screen/i, /hls\.js|dash\.js|shaka/i, /latency|own/i];
      for (const control of controls) expect(all).toMatch(control);
    });
  });

  it('changes the player by a key, and remembers it in the address', async () => {
    await onPhone('/live/show/', async (page) => {
      await page.keyboard.press('2');
      await until(async () => (await readPage(page)).player === 'dash', 'dash.js chosen');
      expect(page.url()).toContain('player=dash');
    });
  });
});
