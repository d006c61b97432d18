import { describe, expect, it } from 'vitest';
import { decryptChunks, readProtectedTrack } from '../../test/support/cenc-decryptor.ts';
import { FakeKeys } from '../../test/support/fake-keys.ts';
import { MemoryJournal, PackagerBench } from '../../test/support/packager-bench.ts';
import {
  audioSamples,
  audioTrack,
  EPOCH_MS,
  interleave,
  timeline,
  videoSamples,
  videoTrack,
} from '../../test/support/sample-source.ts';
import { windowFaults } from '../../test/support/window-check.ts';
import { renderMediaPlaylist } from './hls/media-playlist.ts';
import type { Sample } from '../stream/track.ts';

const ROTATION_MS = 10_000;
const SOURCE = { ...videoTrack(), width: 1280, height: 720 };

/** One NAL unit a frame: an IDR slice's, or another's. What is in it no decoder would take. */
function framed(sample: Sample): Sample {
  if (sample.kind === 'audio') return sample;
  const data = new Uint8Array(sample.data.length).fill(sample.data[9] ?? 0);
  new DataView(data.buffer).setUint32(0, data.length - 4);
  data[4] = sample.key ? 0x65 : 0x41;
  return { ...sample, data };
}

class EncryptedBench extends PackagerBench {
  readonly keys: FakeKeys;

  constructor(keys = new FakeKeys(ROTATION_MS), journal = new MemoryJournal()) {
    super({ windowSeconds: 120 }, journal, keys);
    this.keys = keys;
    this.begin();
  }

  begin(reason: 'start' | 'resume' = 'start'): this {
    this.packager.begin(timeline({ video: SOURCE, audio: audioTrack() }, { reason }));
    return this;
  }

  /** From second `from` to second `to`, with a key frame every `gop` frames. */
  run(from: number, to: number, gop = 60): this {
    const startMs = EPOCH_MS + from * 1000;
    const seconds = to - from;
    const isKey = (frame: number): boolean => (frame + Math.round(from * 30)) % gop === 0;
    const samples = interleave(videoSamples({ startMs, seconds, isKey }), audioSamples({ startMs, seconds }));
    this.feed(samples.map(framed));
    return this;
  }

  kids(rendition: string): string[] {
    return this.window.periods.map(({ protections }) => hex(protections.get(rendition)?.kid));
  }

  /** Seconds since the start at which each period begins. */
  get starts(): number[] {
    return this.window.periods.map(({ startMs }) => (startMs - EPOCH_MS) / 1000);
  }
}

function hex(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? []).toString('hex');
}

describe('the keys of an encrypted stream', () => {
  it('change with the crypto period, in every rendition at the same segment', () => {
    const bench = new EncryptedBench().run(0, 25);
    expect(bench.starts).toEqual([0, 10, 20]);
    expect(bench.window.periods.map(({ rekeyed }) => rekeyed)).toEqual([false, true, true]);
    expect(bench.window.periods.map(({ continues }) => continues)).toEqual([
      undefined,
      bench.window.periods[0]?.id,
      bench.window.periods[1]?.id,
    ]);
    for (const id of ['video', 'audio']) {
      const period = bench.keys.periodAt(EPOCH_MS);
      const tier = id === 'audio' ? 'AUDIO' : 'HD';
      const expected = [0, 1, 2].map((n) =>
        hex(bench.keys.key({ ...period, index: period.index + n }, tier).kid),
      );
      expect(bench.kids(id)).toEqual(expected);
      const firsts = bench.window.periods.map((of) =>
        bench.rendition(id).segments.find((s) => s.period === of),
      );
      expect(firsts.map((segment) => segment?.number)).toEqual(
        bench.window.periods.map(({ startNumber }) => startNumber),
      );
    }
    expect(bench.rendition('video').segments.some(({ discontinuity }) => discontinuity)).toBe(false);
    expect(windowFaults(bench.window)).toEqual([]);
  });

  it('open exactly the segments of their period', () => {
    for (const scheme of ['cbcs', 'cenc'] as const) {
      const bench = new EncryptedBench(new FakeKeys(ROTATION_MS, scheme)).run(0, 21);
      for (const id of ['video', 'audio'] as const) {
        const sent = (
          id === 'video'
            ? videoSamples({ seconds: 21, isKey: (n) => n % 60 === 0 })
            : audioSamples({ seconds: 21 })
        )
          .map(framed)
          .map(({ data }) => hex(data));
        const got = bench.rendition(id).segments.flatMap((segment) => {
          const init = segment.period.inits.get(id);
          if (!init) throw new Error('no initialization segment');
          const track = readProtectedTrack(init);
          const { key } = bench.keys.key(
            bench.keys.periodAt(segment.period.startMs + 1),
            id === 'audio' ? 'AUDIO' : 'HD',
          );
          const bytes = Buffer.concat(segment.chunks.map((chunk) => chunk.bytes));
          return decryptChunks(bytes, track, key).map(({ data, cipherData }) => {
            expect(Buffer.compare(data, cipherData)).not.toBe(0);
            return hex(data);
          });
        });
        expect(got).toEqual(sent.slice(0, got.length));
        expect(got.length).toBeGreaterThan(600);
      }
    }
  });

  it('change at a key frame, however late it comes', () => {
    const bench = new EncryptedBench().run(0, 24, 210);
    expect(bench.starts[1]).toBeGreaterThan(10);
    const [first] = bench
      .rendition('video')
      .segments.filter(({ period }) => period === bench.window.periods[1]);
    expect(first?.independent).toBe(true);
  });

  it('go on in the same crypto period after a restart, with IVs that were never used', () => {
    const keys = new FakeKeys(60_000, 'cenc');
    const journal = new MemoryJournal();
    const before = new EncryptedBench(keys, journal).run(0, 6);
    before.packager.close();
    const after = new EncryptedBench(keys, journal).run(8, 14);
    expect(after.kids('video')).toEqual(before.kids('video'));
    expect(after.window.periods[0]?.id).not.toBe(before.window.periods[0]?.id);
    const ivs = [before, after].flatMap((bench) =>
      bench.rendition('video').segments.flatMap(({ period, chunks }) => {
        const track = readProtectedTrack(period.inits.get('video') ?? new Uint8Array());
        const bytes = Buffer.concat(chunks.map((chunk) => chunk.bytes));
        return decryptChunks(bytes, track, new Uint8Array(16)).map(({ iv }) => hex(iv));
      }),
    );
    expect(new Set(ivs).size).toBe(ivs.length);
    expect(ivs.length).toBeGreaterThan(300);
  });
});

describe('a change of keys', () => {
  it('is announced before it comes, and comes as announced', () => {
    const bench = new EncryptedBench().run(0, 1.5);
    expect(bench.window.upcoming).toBeUndefined();
    bench.run(1.5, 5);
    const announced = bench.window.upcoming;
    expect(announced).toMatchObject({ startMs: EPOCH_MS + 10_000, rekeyed: true });
    expect(announced?.startNumber).toBe((bench.window.periods[0]?.startNumber ?? 0) + 5);
    bench.run(5, 11);
    expect(bench.window.periods[1]).toBe(announced);
    expect(bench.window.upcoming).toBeUndefined();
  });

  it('is announced as soon as a stream is seen that began shortly before it', () => {
    const bench = new EncryptedBench().run(6, 7.9);
    expect([bench.window.published, bench.window.upcoming]).toEqual([false, undefined]);
    bench.run(7.9, 8.2);
    expect(bench.window.published).toBe(true);
    const announced = bench.window.upcoming;
    expect(announced).toMatchObject({ startMs: EPOCH_MS + 10_000, rekeyed: true });
    bench.run(8.2, 11);
    expect(bench.window.periods[1]).toBe(announced);
  });

  it('is hinted at in the playlists just before', () => {
    const bench = new EncryptedBench().run(0, 10);
    const text = renderMediaPlaylist(bench.window, bench.rendition('video'));
    expect(text).toContain(`PRELOAD-HINT:TYPE=PART,URI="video/${bench.window.upcoming?.id}/`);
  });

  it('is announced anew when the source breaks its cadence', () => {
    const bench = new EncryptedBench().run(0, 7);
    const announced = bench.window.upcoming;
    // A second without a key frame where one was due, then key frames at another phase.
    bench.run(7, 9, 1000);
    bench.run(9, 16, 45);
    expect(bench.window.periods.map(({ id }) => id)).not.toContain(announced?.id);
    expect(bench.window.periods.at(-1)?.protections.get('video')?.kid).toEqual(
      bench.keys.key(bench.keys.periodAt(EPOCH_MS + 15_000), 'HD').kid,
    );
  });

  it('is taken back when the publisher goes', () => {
    const bench = new EncryptedBench().run(0, 7);
    expect(bench.window.upcoming).toBeDefined();
    bench.packager.away();
    expect(bench.window.upcoming).toBeUndefined();
  });
});

describe('a stream whose keys are not to be had', () => {
  it('is not packaged at all, and begins with a key frame once they are', async () => {
    const keys = new FakeKeys(ROTATION_MS);
    keys.missingFrom = 0;
    const bench = new EncryptedBench(keys).run(0, 3);
    expect(bench.window.renditions.flatMap(({ segments }) => segments)).toEqual([]);
    expect(
      await bench.metric('packager_dropped_samples_total', { reason: 'not_encryptable' }),
    ).toBeGreaterThan(0);
    keys.missingFrom = Number.POSITIVE_INFINITY;
    bench.run(3, 9);
    expect(bench.starts).toEqual([4]);
    expect(bench.rendition('video').segments[0]?.independent).toBe(true);
  });

  it('goes on with the last ones, never in the clear', async () => {
    const keys = new FakeKeys(ROTATION_MS);
    keys.missingFrom = keys.periodAt(EPOCH_MS).index + 1;
    const bench = new EncryptedBench(keys).run(0, 15);
    expect(new Set(bench.kids('video')).size).toBe(1);
    expect(
      bench.rendition('video').segments.filter(({ state }) => state === 'closed').length,
    ).toBeGreaterThan(5);
    expect(await bench.metric('packager_key_failures_total')).toBeGreaterThan(0);
    keys.missingFrom = Number.POSITIVE_INFINITY;
    bench.run(15, 20);
    expect(new Set(bench.kids('video')).size).toBe(2);
  });

  it('is not packaged when its codec cannot be encrypted', () => {
    const bench = new EncryptedBench();
    bench.packager.begin(timeline({ video: { ...SOURCE, codec: 'av01', codecString: 'av01.0.04M.08' } }));
    bench.run(0, 3);
    expect(bench.window.renditions.flatMap(({ segments }) => segments)).toEqual([]);
  });
});
