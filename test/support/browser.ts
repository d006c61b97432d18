import { existsSync } from 'node:fs';
import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type Page,
} from 'playwright-core';

/** Where Debian, and most others, put Chromium. */
const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** No sound device, no GPU, no call home: the same on every machine. */
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--mute-audio',
  '--autoplay-policy=no-user-gesture-required',
];

/** As small as the pages may be: without a GPU every pixel of every frame is the processor's work. */
const VIEWPORT = { width: 720, height: 540 };

/** Starts headless Chromium; the caller closes it. */
export async function launchBrowser(): Promise<Browser> {
  const executablePath = CHROMIUM.find((path) => existsSync(path));
  if (executablePath === undefined) throw new Error('Chromium is not installed: apt-get install chromium');
  return chromium.launch({ executablePath, args: FLAGS });
}

/** Runs something with a page of its own, without cookies or cache of others, and closes it. */
export async function withPage(
  browser: Browser,
  run: (page: Page) => Promise<void>,
  options: BrowserContextOptions = {},
): Promise<void> {
  const context = await browser.newContext({ viewport: VIEWPORT, ...options });
  try {
    await run(await context.newPage());
  } finally {
    await context.close();
  }
}

/**
 * Does the same for several at the same time, and waits for all of them, so that none goes on behind the test's end.
 * @throws Error that tells whose it was, when one fails or several
 */
export async function forEachOf<T extends string>(
  names: readonly T[],
  work: (name: T) => Promise<unknown>,
): Promise<void> {
  const outcomes = await Promise.allSettled(names.map(work));
  const failed = outcomes.flatMap((outcome, index) =>
    outcome.status === 'rejected' ? [{ name: names[index], error: outcome.reason as unknown }] : [],
  );
  if (failed.length === 0) return;
  const told = failed.map(
    ({ name, error }) => `${name}: ${error instanceof Error ? error.message : String(error)}`,
  );
  throw new Error(told.join('\n'), { cause: failed[0]?.error });
}

/** Runs something with a page for each name, all open at the same time, and closes them. */
export async function withPages<T extends string>(
  browser: Browser,
  names: readonly T[],
  run: (pageOf: (name: T) => Page) => Promise<void>,
  options: BrowserContextOptions = {},
): Promise<void> {
  const contexts = new Map<T, BrowserContext>();
  const pages = new Map<T, Page>();
  try {
    for (const name of names) {
      // oxlint-disable-next-line no-await-in-loop
      const context = await browser.newContext({ viewport: VIEWPORT, ...options });
      contexts.set(name, context);
      // oxlint-disable-next-line no-await-in-loop
      pages.set(name, await context.newPage());
    }
    await run((name) => {
      const page = pages.get(name);
      if (!page) throw new Error(`no page for ${name}`);
      return page;
    });
  } finally {
    await Promise.all([...contexts.values()].map((context) => context.close()));
  }
}

/** What went wrong on a page, as it happened: script errors, console errors, requests refused with 4xx or 5xx. */
export function collectFaults(page: Page): string[] {
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(`script: ${error.message}`));
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(`console: ${message.text()}`);
  });
  page.on('response', (response) => {
    if (response.status() >= 400) faults.push(`${response.status()}: ${response.url()}`);
  });
  return faults;
}
