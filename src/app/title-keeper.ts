import type { TitleKeeper, TitleStatus } from '../control/title-status.ts';
import type { Title } from '../stream/title.ts';
import type { TitleService } from '../vod/title-service.ts';

/** What the control API may do with titles. */
export function titleKeeper(service: TitleService): TitleKeeper {
  return {
    async titles() {
      return (await service.titles()).map(titleStatus);
    },
    async title(id) {
      const title = await service.title(id);
      return title && titleStatus(title);
    },
    add: (title) => service.add(title),
    remove: (id) => service.remove(id),
    jobs: () => service.makings(),
    job: (id) => service.making(id),
    cancel: (id) => service.cancel(id),
    retry: (id) => service.retry(id),
    subscribe: (listener) => service.subscribe(listener),
  };
}

/** A title as the control API tells of it. */
export function titleStatus(title: Title): TitleStatus {
  const { id, name, state, durationMs, createdMs, renditions, periods } = title;
  const tracks = renditions.map((rendition) => ({
    rendition,
    own: periods.findLast(({ tracks: all }) => all.has(rendition.id))?.tracks.get(rendition.id),
  }));
  return {
    id,
    name,
    state,
    durationMs,
    createdMs,
    isProtected: tracks.some(({ own }) => own?.protection !== undefined),
    renditions: tracks.flatMap(({ rendition, own }): TitleStatus['renditions'][number][] => {
      if (!own) return [];
      const { track } = own;
      const { language, averageBps, peakBps } = rendition;
      const common = { id: rendition.id, codec: track.codecString, averageBps, peakBps };
      if (track.kind === 'video') return [{ ...common, width: track.width, height: track.height }];
      return [{ ...common, channels: track.channels, language }];
    }),
  };
}
