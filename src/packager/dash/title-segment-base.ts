import type { TitleTrack } from '../../stream/title.ts';
import { renditionFilePath } from '../media-path.ts';
import { renditionFile } from '../files/title-file.ts';
import { offsetTicks, type Stretch } from './title-stretches.ts';
import { element, type XmlElement } from './xml.ts';

/** Whether all that a stretch has can be one file a Representation: it is all of its period, and each file has an index. */
export function isSingleFiles({ id, period, tracks }: Stretch): boolean {
  return id === period.id && [...tracks.keys()].every((rendition) => renditionFile(period, rendition)?.index);
}

/** BaseURL and SegmentBase (ISO/IEC 23009-1 5.3.9.2) of one file with a Segment Index. */
export function segmentBase(stretch: Stretch, own: TitleTrack, rendition: string): readonly XmlElement[] {
  const file = renditionFile(stretch.period, rendition);
  if (!file?.index) throw new RangeError('a file without an index');
  const { index, initBytes } = file;
  return [
    element('BaseURL', {}, renditionFilePath(rendition, stretch.period.id)),
    element(
      'SegmentBase',
      {
        timescale: own.track.timescale,
        presentationTimeOffset: offsetTicks(stretch, own),
        indexRange: `${index.start}-${index.end}`,
      },
      [element('Initialization', { range: `0-${initBytes - 1}` })],
    ),
  ];
}
