import type { Page } from 'playwright-core';
import { until } from './until.ts';
import { glanceAtPage } from './watch-page.ts';

/** The seek bar of a live stream as the viewer sees it, seconds; all 0 while there is nothing to go back in. */
export interface LiveBar {
  readonly min: number;
  readonly max: number;
  readonly value: number;
}

export function barOf(page: Page): Promise<LiveBar> {
  return page.evaluate(() => {
    const bar = document.querySelector<HTMLInputElement>('#seek');
    if (!bar || bar.disabled) return { min: 0, max: 0, value: 0 };
    return { min: Number(bar.min), max: Number(bar.max), value: bar.valueAsNumber };
  });
}

/** Waits until the bar is longer than `seconds`, and the stream is played. */
export async function whenLong(page: Page, seconds: number): Promise<LiveBar> {
  return until(
    async () => {
      const bar = await barOf(page);
      const isLong = bar.max - bar.min > seconds && (await glanceAtPage(page)).state === 'playing';
      return isLong ? bar : undefined;
    },
    `${seconds} s to go back in`,
    90_000,
  );
}

/** How far behind the edge the page plays, seconds. */
export async function behind(page: Page): Promise<number> {
  const { max } = await barOf(page);
  return max - (await glanceAtPage(page)).currentTime;
}

/** Goes to so many seconds before the bar's end. */
export function goBack(page: Page, seconds: number): Promise<void> {
  return page.evaluate((back) => {
    const bar = document.querySelector<HTMLInputElement>('#seek');
    if (!bar) return;
    bar.valueAsNumber = Number(bar.max) - back;
    bar.dispatchEvent(new Event('change'));
  }, seconds);
}

/** Waits until `seconds` more of media have been played. */
export async function whenPlayed(page: Page, seconds: number, what: string): Promise<void> {
  const from = (await glanceAtPage(page)).currentTime;
  await until(
    async () => {
      const { currentTime, state } = await glanceAtPage(page);
      return state === 'playing' && currentTime > from + seconds;
    },
    what,
    60_000,
  );
}

/** Pauses until the stream has gone on by `seconds`, and plays on; how far the page is from where it had stopped then. */
export async function pauseFor(page: Page, seconds: number): Promise<number> {
  await page.click('#play');
  await until(async () => (await glanceAtPage(page)).state === 'paused', 'a pause');
  const { currentTime } = await glanceAtPage(page);
  const left = (await barOf(page)).max;
  await until(
    async () => (await barOf(page)).max > left + seconds,
    'the stream to go on without the viewer',
    90_000,
  );
  await page.click('#play');
  await whenPlayed(page, 1, 'to go on');
  return (await glanceAtPage(page)).currentTime - currentTime;
}
