import { mediaEndMs } from '../packager/vod/title-growth.ts';
import { measureRates } from '../packager/vod/title-rates.ts';
import type { Title, TitleRendition, TitleText, TitleTrack } from '../stream/title.ts';
import type { PlannedAudio, PlannedRung, TitleWork } from '../transcode/vod/title-plan.ts';
import type { TitleLine } from './title-lines.ts';

/** What belongs to a title beside its tracks, as far as it is there. */
export interface Extras {
  readonly texts: readonly { readonly id: string; readonly sizeBytes: number }[];
  readonly thumbnails: { readonly sheetBytes: readonly number[] } | undefined;
}

export interface Composition {
  readonly state: Title['state'];
  readonly pictures: readonly { readonly rung: PlannedRung; readonly line: TitleLine }[];
  readonly sounds: readonly { readonly audio: PlannedAudio; readonly line: TitleLine }[];
  readonly extras: Extras;
  readonly updatedMs: number;
}

/** The title as it is now; undefined while one of its renditions has nothing yet: then nothing can be played. */
export function composeTitle(work: TitleWork, composition: Composition): Title | undefined {
  const { plan, title, name, generation, createdMs } = work;
  const { state, pictures, sounds, extras, updatedMs } = composition;
  const tracks = new Map<string, TitleTrack>();
  const renditions: TitleRendition[] = [];
  for (const { rung, line } of pictures) {
    const { track } = line;
    if (!track) return undefined;
    tracks.set(rung.id, track);
    renditions.push(rendition(rung.id, 'video', track, rung.maxBitrateBps, composition, plan.segmentMs));
  }
  for (const { audio, line } of sounds) {
    const { track } = line;
    if (!track) return undefined;
    tracks.set(audio.id, track);
    const { language, label, isDefault, bitrateBps } = audio;
    renditions.push({
      ...rendition(audio.id, 'audio', track, bitrateBps, composition, plan.segmentMs),
      ...{ language, label, isDefault },
    });
  }
  if (renditions.length === 0) return undefined;
  const composed: Title = {
    id: title,
    name,
    state,
    durationMs: plan.durationMs,
    segmentMs: plan.segmentMs,
    renditions,
    periods: [{ id: generation, startMs: 0, continues: false, tracks }],
    texts: extras.texts.flatMap(({ id, sizeBytes }): TitleText[] => {
      const planned = plan.texts.find((text) => text.id === id);
      if (!planned) return [];
      const { language, label, isDefault, isForced } = planned;
      return [{ id, language, label, isDefault, isForced, sizeBytes }];
    }),
    thumbnails: plan.thumbnails && extras.thumbnails && { ...plan.thumbnails, ...extras.thumbnails },
    chapters: work.master.chapters,
    createdMs,
    updatedMs,
    ...(work.isDownloadable && { isDownloadable: true }),
  };
  return state === 'complete' ? { ...composed, durationMs: mediaEndMs(composed) } : composed;
}

function rendition(
  id: string,
  kind: TitleRendition['kind'],
  { segments, track }: TitleTrack,
  plannedBps: number,
  { state }: Composition,
  segmentMs: number,
): TitleRendition {
  const { timescale } = track;
  const { peakBps, averageBps } = measureRates([{ segments, timescale }], segmentMs / 1000);
  // What is still to come may be harder to encode than what there is.
  const floor = state === 'growing' ? plannedBps : 0;
  return {
    id,
    kind,
    language: undefined,
    label: undefined,
    isDefault: false,
    peakBps: Math.max(floor, peakBps),
    averageBps: Math.max(state === 'growing' ? Math.round(floor / 2) : 0, averageBps),
  };
}
