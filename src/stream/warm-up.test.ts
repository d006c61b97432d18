import { describe, expect, test } from 'vitest';
import { type SourceSample, WarmUp, type WarmUpOptions } from './warm-up.ts';

const NOW = 1_795_348_800_000;
const OPTIONS: WarmUpOptions = { anchorMs: 1000, secondKeyWaitMs: 0, maxBytes: 1e9 };

function sample(kind: 'video' | 'audio', sourceMs: number, extra: Partial<SourceSample> = {}): SourceSample {
  const arrivalMs = NOW + sourceMs;
  return {
    kind,
    sourceMs,
    compositionMs: 0,
    key: kind === 'audio',
    data: new Uint8Array(10),
    arrivalMs,
    ...extra,
  };
}

function warmUp(options: Partial<WarmUpOptions> = {}, ...expected: ('video' | 'audio')[]): WarmUp {
  const made = new WarmUp({ ...OPTIONS, ...options });
  for (const kind of expected) made.expect(kind);
  return made;
}

/** Feeds video every 40 ms, key frames each `gopMs`, until done; gives the time it took. */
function feed(into: WarmUp, gopMs: number, untilMs: number): number | undefined {
  for (let ms = 0; ms < untilMs; ms += 40) {
    into.add(sample('video', ms, { key: ms % gopMs === 0 }));
    if (into.done) return ms;
  }
  return undefined;
}

test('it lasts the anchor time', () => {
  expect(feed(warmUp({}, 'video'), 2000, 5000)).toBe(1000);
});

test('it waits for the second key frame where asked, up to the bound', () => {
  expect(feed(warmUp({ secondKeyWaitMs: 2600 }, 'video'), 2000, 5000)).toBe(2000);
  expect(feed(warmUp({ secondKeyWaitMs: 2600 }, 'video'), 8000, 5000)).toBe(2600);
  expect(feed(warmUp({ secondKeyWaitMs: 2600 }, 'video'), 400, 5000)).toBe(1000);
});

test('an expected track that stays away is waited for 2 s', () => {
  expect(feed(warmUp({}, 'video', 'audio'), 2000, 5000)).toBe(2000);
});

describe('the anchor', () => {
  test('is the least delay over everything that arrived', () => {
    const made = warmUp({}, 'video');
    const late = [300, 250, 120, 8, 40, 10];
    late.forEach((delay, index) => {
      made.add(sample('video', index * 200, { key: index === 0, arrivalMs: NOW + index * 200 + delay }));
    });
    expect(made.result().offsetsMs).toEqual({ video: NOW + 8, audio: NOW + 8 });
  });

  test('also listens to what is not kept', () => {
    const made = warmUp({}, 'video');
    made.add(sample('video', 0, { arrivalMs: NOW - 5 }));
    made.add(sample('video', 40, { key: true, arrivalMs: NOW + 70 }));
    expect(made.result().offsetsMs.video).toBe(NOW - 5);
    expect(made.droppedBeforeKey).toBe(1);
  });

  test('is apart for tracks that plainly have two clocks', () => {
    const made = warmUp({}, 'video', 'audio');
    made.add(sample('video', 0, { key: true }));
    made.add(sample('audio', 500_000, { arrivalMs: NOW }));
    expect(made.result().offsetsMs).toEqual({ video: NOW, audio: NOW - 500_000 });
  });
});

test('a clock that jumps meanwhile makes it start over', () => {
  const made = warmUp({}, 'video');
  for (let ms = 0; ms < 400; ms += 40) made.add(sample('video', ms, { key: ms === 0 }));
  for (let ms = 0; ms <= 1000; ms += 40) {
    made.add(sample('video', 90_000 + ms, { key: ms === 0, arrivalMs: NOW + 400 + ms }));
    expect(made.done).toBe(ms === 1000);
  }
  expect(made.restarts).toBe(1);
  expect(made.result().samples[0]?.sourceMs).toBe(90_000);
  expect(made.result().offsetsMs.video).toBe(NOW - 89_600);
});

test('timestamps that stand still do not complete it', () => {
  const made = warmUp({}, 'video');
  for (let ms = 0; ms < 4000; ms += 40) made.add(sample('video', 0, { key: ms === 0, arrivalMs: NOW + ms }));
  expect(made.done).toBe(false);
});

test('what it holds is bounded: by bytes with a key frame, and without one almost nothing is held', () => {
  const full = warmUp({ maxBytes: 200 }, 'video');
  expect(feed(full, 60_000, 4000)).toBe(19 * 40);
  const keyless = warmUp({}, 'video', 'audio');
  for (let ms = 0; ms < 1960; ms += 20) {
    keyless.add(sample('video', ms));
    keyless.add(sample('audio', ms));
  }
  expect(keyless.done).toBe(false);
  expect(keyless.heldBytes).toBeLessThanOrEqual(51 * 10);
});

test('audio from before the first key frame is kept only where it may belong beside it', () => {
  const made = warmUp({}, 'video', 'audio');
  made.add(sample('audio', 0));
  made.add(sample('audio', 1500));
  made.add(sample('video', 1510, { key: true }));
  expect(made.result().samples.map(({ sourceMs }) => sourceMs)).toEqual([1500, 1510]);
});
