import { describe, expect, it } from 'vitest';
import { DEFAULT_VOD_LADDER, LADDER_PRESET_NAMES, type VodLadderOptions } from './ladder-presets.ts';
import { planTitle } from './plan-title.ts';
import {
  type Master,
  type MasterAudio,
  type MasterText,
  type MasterVideo,
  type PlannedVideo,
  pieceRange,
} from './title-plan.ts';

const VIDEO: MasterVideo = {
  index: 0,
  codec: 'h264',
  width: 1920,
  height: 1080,
  frameRate: { numerator: 25, denominator: 1 },
  isVariableRate: false,
  isInterlaced: false,
  range: 'sdr',
  startMs: 0,
  durationMs: 60_000,
};

function audio(index: number, language: string, more: Partial<MasterAudio> = {}): MasterAudio {
  return {
    index,
    codec: 'aac',
    channels: 2,
    sampleRate: 48_000,
    language,
    label: undefined,
    isDefault: false,
    ...more,
  };
}

function text(index: number, language: string, more: Partial<MasterText> = {}): MasterText {
  const base = { index, path: undefined, codec: 'subrip', language, label: undefined };
  return { ...base, isDefault: false, isForced: false, ...more };
}

function master(video: Partial<MasterVideo> | undefined, more: Partial<Master> = {}): Master {
  const pictures = video && { ...VIDEO, ...video };
  const durationMs = pictures?.durationMs ?? 60_000;
  return {
    demuxer: 'mov',
    sizeBytes: 1,
    durationMs,
    video: pictures,
    audios: [],
    texts: [],
    chapters: [],
    ...more,
  };
}

function videoOf(video: Partial<MasterVideo>, choice: Partial<VodLadderOptions> = {}): PlannedVideo {
  const planned = planTitle(master(video), { ...DEFAULT_VOD_LADDER, ...choice }).video;
  if (!planned) throw new Error('no pictures');
  return planned;
}

function sizes(video: Partial<MasterVideo>, choice: Partial<VodLadderOptions> = {}): string[] {
  return videoOf(video, choice).rungs.map(({ id, width, height }) => `${id} ${width}x${height}`);
}

describe('the rungs of a title', () => {
  it('are those of the ladder by name, in the shape of the master', () => {
    expect(sizes({})).toEqual(['1080p 1920x1080', '720p 1280x720', '480p 854x480', '360p 640x360']);
    expect(sizes({}, { ladder: 'small' })).toEqual(['720p 1280x720', '360p 640x360']);
  });

  it("have the master's own size on top, and nothing that is nearly the same below it", () => {
    expect(sizes({ width: 1920, height: 800 })).toEqual(['800p 1920x800', '480p 1152x480', '360p 864x360']);
    expect(sizes({ width: 320, height: 180 })).toEqual(['180p 320x180']);
  });

  it('count an upright picture by its shorter side', () => {
    expect(sizes({ width: 1080, height: 1920 })).toEqual([
      '1080p 1080x1920',
      '720p 720x1280',
      '480p 480x854',
      '360p 360x640',
    ]);
  });

  it('are as asked for, but for those above the master', () => {
    const ladder = [1080, 90, 160].map((height) => ({ height, maxBitrateBps: 99_000, codec: undefined }));
    expect(sizes({ width: 320, height: 180 }, { ladder })).toEqual(['160p 284x160', '90p 160x90']);
    const plan = planTitle(master({ width: 320, height: 180 }), { ...DEFAULT_VOD_LADDER, ladder });
    expect(plan.notes).toEqual(["Rungs above the master's 180 lines are left out: 1080p."]);
    expect(plan.video?.rungs[0]?.maxBitrateBps).toBe(99_000);
    const above = [{ height: 1080, maxBitrateBps: undefined, codec: undefined }];
    expect(sizes({ width: 320, height: 180 }, { ladder: above })).toEqual(['180p 320x180']);
  });

  it('are made together codec by codec', () => {
    const { rungs, groups } = videoOf({}, { ladder: 'small', codecs: ['av1', 'h264', 'hevc'] });
    expect(rungs.map(({ id }) => id)).toEqual([
      ...['720p', '720p-hevc', '720p-av1'],
      ...['360p', '360p-hevc', '360p-av1'],
    ]);
    expect(groups).toEqual([
      ['720p', '360p'],
      ['720p-hevc', '360p-hevc'],
      ['720p-av1', '360p-av1'],
    ]);
    const ladder = [
      { height: 720, maxBitrateBps: undefined, codec: undefined },
      { height: 480, maxBitrateBps: undefined, codec: 'hevc' as const },
    ];
    expect(videoOf({}, { ladder, codecs: ['h264', 'hevc'] }).groups).toEqual([
      ['720p'],
      ['720p-hevc', '480p-hevc'],
    ]);
  });

  it('take less the smaller they are and the better the codec is, and more at higher rates', () => {
    const { rungs } = videoOf({});
    const rates = rungs.map(({ maxBitrateBps }) => maxBitrateBps);
    expect(rates).toEqual(rates.toSorted((a, b) => b - a));
    const at60 = videoOf({ frameRate: { numerator: 60, denominator: 1 } }).rungs[0];
    expect(at60?.maxBitrateBps).toBeGreaterThan(rates[0] ?? 0);
    const [h264, hevc, av1] = videoOf({}, { codecs: ['h264', 'hevc', 'av1'] }).rungs;
    expect(hevc?.maxBitrateBps).toBeLessThan(h264?.maxBitrateBps ?? 0);
    expect(av1?.maxBitrateBps).toBeLessThan(hevc?.maxBitrateBps ?? 0);
  });

  it('are never larger than the master, always even, in its shape, whatever that is', () => {
    for (const ladder of LADDER_PRESET_NAMES) {
      for (const codec of ['h264', 'hevc', 'av1'] as const) {
        for (let width = 64; width < 9000; width = 2 * Math.round(width * 0.7 + 31)) {
          for (let height = 64; height < 5000; height = 2 * Math.round(height * 0.6 + 35)) {
            const { rungs } = videoOf({ width, height }, { ladder, codecs: [codec] });
            expect(rungs.length).toBeGreaterThan(0);
            expect(new Set(rungs.map(({ id }) => id)).size).toBe(rungs.length);
            for (const rung of rungs) {
              expect(rung.width <= width && rung.height <= height).toBe(true);
              expect((rung.width % 2) + (rung.height % 2)).toBe(0);
              // Half a step of two pixels of the longer side.
              const off = Math.abs(rung.width * height - rung.height * width) / Math.min(width, height);
              expect(off).toBeLessThanOrEqual(1.01);
            }
            if (height > 200) break;
          }
          if (width > 6000) break;
        }
      }
    }
  });
});

describe('the grid of a title', () => {
  it.each([
    [25, 1, 4000, 50, 100, 300],
    [24_000, 1001, 4000, 48, 96, 288],
    [30_000, 1001, 4000, 60, 120, 360],
    [60, 1, 6000, 120, 360, 720],
    [50, 1, 3000, 75, 150, 600],
    [25, 1, 1000, 25, 25, 300],
    [5, 1, 4000, 10, 20, 60],
  ])(
    'has key frames two seconds apart, segments and pieces of them: %d/%d, %d ms',
    (numerator, denominator, segmentMs, gop, segment, piece) => {
      const video = videoOf({ frameRate: { numerator, denominator } }, { segmentMs });
      expect([video.gopFrames, video.segmentFrames, video.pieceFrames]).toEqual([gop, segment, piece]);
    },
  );

  it('has pieces that follow each other from the first frame to the last', () => {
    for (const durationMs of [40, 3960, 4000, 4040, 16_000, 16_040, 60_000, 61_240]) {
      const video = videoOf({ durationMs });
      expect(video.frames).toBe(durationMs / 40);
      let at = 0;
      for (let index = 0; index < video.pieces; index++) {
        const { start, end } = pieceRange(video, index);
        expect(start).toBe(at);
        expect(end).toBeGreaterThan(start);
        at = end;
      }
      expect(at).toBe(video.frames);
    }
  });

  it('halves rates above sixty, or takes a third or a fourth of them', () => {
    const rateOf = (numerator: number, denominator = 1): number => {
      const { frameRate } = videoOf({ frameRate: { numerator, denominator } });
      return frameRate.numerator / frameRate.denominator;
    };
    expect([60, 120, 100, 240, 90].map((rate) => rateOf(rate))).toEqual([60, 60, 50, 60, 45]);
    expect(rateOf(60_000, 1001)).toBeCloseTo(59.94, 3);
    expect(rateOf(120_000, 1001)).toBeCloseTo(59.94, 3);
  });

  it('says what becomes of pictures that are interlaced, HDR, or come as they like', () => {
    const plan = planTitle(
      master({ isInterlaced: true, range: 'pq', isVariableRate: true }, { leftOut: ['Stream 9 (x).'] }),
      DEFAULT_VOD_LADDER,
    );
    expect(plan.video).toMatchObject({ isInterlaced: true, toneMap: 'pq', frameRate: VIDEO.frameRate });
    expect(plan.notes).toEqual([
      'Stream 9 (x).',
      'The frame rate varies; the title has 25 frames a second.',
      'The pictures are HDR; the title is SDR.',
      'The pictures are interlaced; the title is not.',
    ]);
  });
});

describe('the sound of a title', () => {
  const plan = (audios: readonly MasterAudio[], choice: Partial<VodLadderOptions> = {}) =>
    planTitle(master({}, { audios }), { ...DEFAULT_VOD_LADDER, ...choice }).audios;

  it('is stereo of every track, the default first, and surround as it is where it can be carried', () => {
    const planned = plan([
      audio(1, 'en', { codec: 'eac3', channels: 6, bitrateBps: 640_000 }),
      audio(2, 'de', { isDefault: true, sampleRate: 44_100 }),
      audio(3, 'de', { label: 'Kommentar', channels: 1 }),
      audio(4, 'fr', { codec: 'dts', channels: 6, sampleRate: 96_000 }),
    ]);
    expect(planned.map(({ id, codec, channels, sampleRate }) => [id, codec, channels, sampleRate])).toEqual([
      ['audio-de', 'aac', 2, 44_100],
      ['audio-en', 'aac', 2, 48_000],
      ['audio-en-surround', 'copy', 6, 48_000],
      ['audio-de-2', 'aac', 1, 48_000],
      ['audio-fr', 'aac', 2, 48_000],
    ]);
    expect(planned.map(({ label }) => label)).toEqual([
      'Deutsch',
      'English',
      'English (5.1)',
      'Kommentar',
      'Français',
    ]);
    expect(planned.map(({ isDefault }) => isDefault)).toEqual([true, false, false, false, false]);
    expect(planned[2]?.bitrateBps).toBe(640_000);
  });

  it('is surround in AAC, too, where it is asked for and cannot be carried, or none', () => {
    const dts = [audio(1, 'en', { codec: 'dts', channels: 8 })];
    expect(plan(dts, { surround: 'encode' })[1]).toMatchObject({
      codec: 'aac',
      channels: 6,
      label: 'English (5.1)',
    });
    expect(plan([audio(1, 'en', { channels: 6 })], { surround: 'none' }).length).toBe(1);
  });

  it('has ids that can stand in a URL and labels that differ, whatever the master says', () => {
    const planned = plan([
      audio(1, 'pt-BR'),
      audio(2, 'und'),
      audio(3, 'und'),
      audio(4, 'und', { label: 'Audio' }),
      audio(5, 'zh-Hant-TW-x-private-and-long'),
    ]);
    expect(planned.every(({ id }) => /^[a-z0-9-]{1,64}$/.test(id))).toBe(true);
    expect(new Set(planned.map(({ id }) => id)).size).toBe(5);
    expect(planned.map(({ label }) => label).slice(0, 4)).toEqual([
      'Português (Brasil)',
      'Audio',
      'Audio 2',
      'Audio 3',
    ]);
  });

  it('may be all there is', () => {
    const plan0 = planTitle(master(undefined, { audios: [audio(0, 'en')] }), DEFAULT_VOD_LADDER);
    expect(plan0).toMatchObject({
      video: undefined,
      thumbnails: undefined,
      durationMs: 60_000,
      segmentMs: 4000,
    });
    expect(() => planTitle(master(undefined), DEFAULT_VOD_LADDER)).toThrow('neither pictures nor sound');
  });
});

describe('the texts of a title', () => {
  it('are those of the master and those beside it, each file once', () => {
    const beside = text(0, 'de', { index: undefined, path: '/m/film.de.srt' });
    const plan = planTitle(
      master(
        {},
        {
          texts: [
            text(3, 'en', { isDefault: true, isForced: true }),
            text(4, 'en', { isDefault: true }),
            beside,
          ],
        },
      ),
      DEFAULT_VOD_LADDER,
      [
        { ...beside, language: 'de-AT' },
        { ...beside, path: '/m/film.fr.vtt', language: 'und' },
      ],
    );
    expect(plan.texts.map(({ id, label, isDefault }) => [id, label, isDefault])).toEqual([
      ['text-en-forced', 'English (forced)', false],
      ['text-en', 'English', true],
      ['text-de-at', 'Österreichisches Deutsch', false],
      ['text-und', 'Subtitles', false],
    ]);
  });
});

describe('the small pictures of a title', () => {
  it('stand the closer together the shorter it is, in the shape of the master', () => {
    const of = (video: Partial<MasterVideo>) => planTitle(master(video), DEFAULT_VOD_LADDER).thumbnails;
    expect(of({})).toEqual({ columns: 10, rows: 3, width: 160, height: 90, intervalMs: 2000 });
    expect(of({ durationMs: 5000 })).toMatchObject({ columns: 3, rows: 1 });
    expect(of({ durationMs: 7_200_000 })).toMatchObject({ columns: 10, rows: 10, intervalMs: 10_000 });
    expect(of({ width: 1080, height: 1920 })).toMatchObject({ width: 90, height: 160 });
    expect(planTitle(master({}), { ...DEFAULT_VOD_LADDER, thumbnails: false }).thumbnails).toBeUndefined();
  });
});
