import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import { type ParsedPlaylist, parsePlaylist } from '../../../test/support/playlist.ts';
import { DEFAULT_AUDIO, DEFAULT_VIDEO, WindowModel } from '../../../test/support/window-model.ts';
import { renderMediaPlaylist } from './media-playlist.ts';
import { renderMultivariant } from './multivariant.ts';

/** What we compare of m3u8-parser's reading (video.js); it ships no types. */
interface JudgeSegment {
  readonly uri?: string;
  readonly duration: number;
  readonly timeline: number;
  readonly programDateTime: number;
  readonly discontinuity?: boolean;
  readonly map: { readonly uri: string };
  readonly parts?: readonly {
    readonly duration: number;
    readonly uri: string;
    readonly independent?: boolean;
  }[];
  readonly preloadHints?: readonly { readonly type: string; readonly uri: string }[];
}

interface JudgeManifest {
  readonly version: number;
  readonly mediaSequence: number;
  readonly discontinuitySequence: number;
  readonly targetDuration: number;
  readonly endList?: boolean;
  readonly independentSegments?: boolean;
  readonly partInf: { readonly partTarget: number };
  readonly serverControl: Readonly<Record<string, unknown>>;
  readonly skip?: { readonly skippedSegments: number };
  readonly segments: readonly JudgeSegment[];
  readonly preloadSegment?: JudgeSegment;
  readonly renditionReports?: readonly {
    readonly uri: string;
    readonly lastMsn: number;
    readonly lastPart: number;
  }[];
  readonly playlists?: readonly {
    readonly uri: string;
    readonly attributes: Readonly<Record<string, unknown>>;
  }[];
  readonly mediaGroups: {
    readonly AUDIO: Readonly<Record<string, Readonly<Record<string, { uri: string }>>>>;
  };
}

interface Judge {
  on(event: 'warn', listener: (warning: { message: string }) => void): void;
  push(text: string): void;
  end(): void;
  readonly manifest: JudgeManifest;
}

const { Parser } = createRequire(import.meta.url)('m3u8-parser') as { Parser: new () => Judge };

function judge(text: string): { manifest: JudgeManifest; warnings: string[] } {
  const parser = new Parser();
  const warnings: string[] = [];
  parser.on('warn', ({ message }) => warnings.push(message));
  parser.push(text);
  parser.end();
  return { manifest: parser.manifest, warnings };
}

function expectAgreement(manifest: JudgeManifest, own: ParsedPlaylist): void {
  expect(manifest.version).toBe(own.version);
  expect(manifest.mediaSequence).toBe(own.mediaSequence);
  expect(manifest.discontinuitySequence).toBe(own.discontinuitySequence);
  expect(manifest.targetDuration).toBe(own.targetDuration);
  expect(manifest.partInf.partTarget).toBe(own.partTarget);
  expect(manifest.endList ?? false).toBe(own.ended);
  expect(manifest.skip?.skippedSegments ?? 0).toBe(own.skipped);
  expect(manifest.segments.length).toBe(own.segments.length);
  manifest.segments.forEach((segment, i) => {
    const ours = own.segments[i];
    expect(segment).toMatchObject({
      uri: ours?.uri,
      duration: ours?.duration,
      programDateTime: ours?.dateMs,
      map: { uri: ours?.map },
    });
    expect(segment.discontinuity ?? false).toBe(ours?.discontinuity);
    expect(segment.timeline).toBe(ours?.discontinuityNumber);
    expectParts(segment, ours?.parts ?? []);
  });
  if (own.open && manifest.preloadSegment) expectParts(manifest.preloadSegment, own.open.parts);
  expect(manifest.preloadSegment?.preloadHints?.[0]?.uri).toBe(own.hint);
  expect(
    manifest.renditionReports?.map(({ uri, lastMsn, lastPart }) => ({ uri, msn: lastMsn, part: lastPart })),
  ).toEqual(own.reports);
}

function expectParts(segment: JudgeSegment, parts: ParsedPlaylist['segments'][number]['parts']): void {
  expect((segment.parts ?? []).map((part) => [part.uri, part.duration, part.independent ?? false])).toEqual(
    parts.map((part) => [part.uri, part.duration, part.independent]),
  );
}

describe('m3u8-parser, as an outside judge', () => {
  const window = new WindowModel({ video: DEFAULT_VIDEO, audio: DEFAULT_AUDIO, windowSeconds: 30 }).run(
    31_000,
  );
  const moments: [string, () => void][] = [
    ['while live', () => {}],
    ['while the publisher is away', () => void window.away().run(5000)],
    ['after it came back', () => void window.resume(640).run(5500)],
    ['after the grid was re-anchored', () => void window.reanchor(2).run(6100)],
    ['once the discontinuity has left the window', () => void window.run(40_000)],
    ['after the end', () => void window.end()],
  ];

  it.each(moments)('reads the same numbers as we do, without a warning, %s', (_when, act) => {
    act();
    for (const rendition of window.renditions) {
      for (const skip of [undefined, 'YES'] as const) {
        const text = renderMediaPlaylist(window, rendition, { skip });
        const { manifest, warnings } = judge(text);
        expect(warnings).toEqual([]);
        expectAgreement(manifest, parsePlaylist(text));
      }
    }
  });

  it('reads the server control and the multivariant playlist', () => {
    const own = new WindowModel({ video: DEFAULT_VIDEO, audio: DEFAULT_AUDIO }).run(5000);
    const { manifest: media } = judge(renderMediaPlaylist(own, own.rendition('video')));
    expect(media.serverControl).toEqual({
      canBlockReload: true,
      canSkipUntil: 12,
      partHoldBack: 1.002,
      holdBack: 6,
    });
    const { manifest, warnings } = judge(renderMultivariant(own));
    expect(warnings).toEqual([]);
    expect(manifest.independentSegments).toBe(true);
    expect(manifest.playlists?.[0]?.uri).toBe('video.m3u8');
    expect(manifest.playlists?.[0]?.attributes).toMatchObject({
      CODECS: 'avc1.64001f,mp4a.40.2',
      RESOLUTION: { width: 1280, height: 720 },
      'FRAME-RATE': 30,
      AUDIO: 'audio',
    });
    expect(manifest.mediaGroups.AUDIO['audio']?.['Audio']?.uri).toBe('audio.m3u8');
  });
});
