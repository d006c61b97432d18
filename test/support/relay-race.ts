import type { LiveWindow } from '../../src/stream/live-window.ts';
import type { Publisher, PublishRole } from '../../src/stream/publisher.ts';
import { isHeader, type OddTag } from './odd-media.ts';
import type { OddMediaChain } from './odd-media-chain.ts';
import { openMediaFeed } from './odd-media-feed.ts';
import { type ServedFrame, servedFrames } from './odd-media-report.ts';

/** One who publishes a clip beside others. */
export interface Runner {
  readonly role: PublishRole;
  readonly tags: readonly OddTag[];
  /** When it begins, milliseconds from the start. */
  readonly startMs: number;
  /** When it is not connected; by the same clock. */
  readonly away: readonly (readonly [fromMs: number, toMs: number])[];
}

interface Running {
  readonly runner: Runner;
  publisher: Publisher | undefined;
  feed: ReturnType<typeof openMediaFeed> | undefined;
}

/** Lets several publishers send to one stream, each frame at its own time; who is away is disconnected meanwhile. */
export function race(chain: OddMediaChain, runners: readonly Runner[]): void {
  const running = runners.map((runner): Running => ({ runner, publisher: undefined, feed: undefined }));
  const sends = running
    .flatMap((each) => each.runner.tags.map((tag) => ({ each, tag, atMs: each.runner.startMs + tag.atMs })))
    .toSorted((a, b) => a.atMs - b.atMs);
  for (const { each, tag, atMs } of sends) {
    chain.runTo(atMs);
    send(chain, each, tag, atMs);
  }
}

function send(chain: OddMediaChain, each: Running, tag: OddTag, atMs: number): void {
  const { runner } = each;
  if (runner.away.some(([fromMs, toMs]) => atMs >= fromMs && atMs < toMs)) {
    each.publisher?.close('disconnected');
    each.publisher = undefined;
    return;
  }
  if (!each.publisher) {
    each.publisher = chain.publish({ role: runner.role, session: `${runner.role}-${Math.round(atMs)}` });
    each.feed = openMediaFeed(each.publisher);
    for (const header of runner.tags.filter(isHeader)) feed(each, header, tag.timestampMs);
  }
  if (!isHeader(tag)) feed(each, tag, tag.timestampMs);
}

function feed({ feed: give }: Running, { kind, body }: OddTag, timestampMs: number): void {
  if (kind !== 'script') give?.(kind, timestampMs, body);
}

/** A picture that viewers see, and when it was captured. */
export interface Seen extends ServedFrame {
  readonly runner: number;
  /** Milliseconds since the Unix epoch. */
  readonly capturedMs: number;
  /** How long it is on the screen. */
  readonly shownMs: number;
}

/**
 * The pictures of a window in the order they are shown. The runners' clips must be told apart by their bytes.
 * @param epochMs the wall clock at the start
 */
export function seen(window: LiveWindow, runners: readonly Runner[], epochMs: number): Seen[] {
  const byRunner = runners.map(({ tags }) => servedFrames(window, 'video', tags));
  const all = (byRunner[0] ?? []).flatMap((_, index) => {
    const runner = byRunner.findIndex((frames) => frames[index]?.source !== undefined);
    const frame = byRunner[runner]?.[index];
    const startMs = runners[runner]?.startMs;
    if (!frame?.source || startMs === undefined) return [];
    const capturedMs = epochMs + startMs + frame.source.trueMs + compositionMs(frame.source);
    return [{ ...frame, runner, capturedMs }];
  });
  const shown = all.toSorted((a, b) => a.ptsMs - b.ptsMs);
  return shown.map((frame, index) => ({
    ...frame,
    shownMs: (shown[index + 1]?.ptsMs ?? frame.ptsMs + frame.durationMs) - frame.ptsMs,
  }));
}

function compositionMs({ body }: OddTag): number {
  const [, , high = 0, middle = 0, low = 0] = body;
  return ((high << 24) | (middle << 16) | (low << 8)) >> 8;
}
