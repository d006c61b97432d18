import { describe, expect, it } from 'vitest';
import { concat, videoChunks, videoInit } from '../../../test/support/media-bytes.ts';
import type { Finding } from '../finding.ts';
import { checkInitSegment } from './check-init-segment.ts';
import { checkKeyFrame } from './check-key-frame.ts';

const START = 1_800_000;

function init() {
  const expected = {
    format: 'hls',
    kind: 'video',
    codecs: undefined,
    width: undefined,
    height: undefined,
  } as const;
  const facts = checkInitSegment(videoInit(), expected, () => {});
  if (!facts) throw new Error('no initialization segment');
  return facts;
}

function check(bytes: Uint8Array) {
  const findings: Omit<Finding, 'url'>[] = [];
  const facts = checkKeyFrame(bytes, init(), (finding) => findings.push(finding));
  return { facts, rules: findings.map(({ rule }) => rule) };
}

/** Chunks of one sample each. */
const single = (dependent = false) =>
  videoChunks({ startTicks: START, samples: 4, chunkSamples: 1, dependent });
/** One chunk of four samples. */
const [together = new Uint8Array()] = videoChunks({
  startTicks: START,
  samples: 4,
  chunkSamples: 4,
  sampleBytes: 100,
});

describe('bytes that are given out as a key frame', () => {
  it('are one when they hold a chunk with it alone', () => {
    const [first = new Uint8Array()] = single();
    expect(check(first)).toEqual({ facts: { presentationSeconds: 20 }, rules: [] });
  });

  it('are one when the range ends with it, whatever samples its fragment goes on to have', () => {
    expect(check(together.subarray(0, together.length - 300)).rules).toEqual([]);
  });

  it.each<readonly [string, readonly string[], Uint8Array]>([
    ['all of a chunk of four frames', ['media-key-frame-surplus'], together],
    ['half of the frame', ['media-key-frame-incomplete'], together.subarray(0, together.length - 350)],
    ['half of the moof', ['media-key-frame-incomplete'], together.subarray(0, 60)],
    ['another frame', ['media-key-frame-not-sync'], single(true)[0] ?? new Uint8Array()],
  ])('are found out when they are %s', (_, rules, bytes) => {
    expect(check(bytes).rules).toEqual(rules);
  });

  it('are not judged in another container, and never make it throw', () => {
    expect(check(new Uint8Array(376).fill(0x47))).toEqual({ facts: undefined, rules: [] });
    const whole = concat(single());
    for (let end = 0; end < whole.length; end += 7) expect(() => check(whole.subarray(0, end))).not.toThrow();
  });
});
