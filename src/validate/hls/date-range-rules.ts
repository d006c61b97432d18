import { parseDateTime } from '../date-time.ts';
import { crc32Mpeg2 } from './crc32-mpeg2.ts';
import { allSegments, attribute, numberAttribute, type MediaPlaylist, type Tag } from './playlist.ts';
import { apple, rfc, type Rule } from './rule.ts';

/** What END-DATE may be off START-DATE + DURATION. */
const END_TOLERANCE_MS = 10;
const SPLICE_ATTRIBUTES = ['SCTE35-CMD', 'SCTE35-OUT', 'SCTE35-IN'];

/** Rules of EXT-X-DATERANGE in one media playlist (RFC 8216bis 4.4.5.1). */
export const DATE_RANGE_RULES: readonly Rule<MediaPlaylist>[] = [
  {
    rule: 'hls-daterange-without-date',
    severity: 'error',
    clause: rfc('4.4.5.1'),
    *check(playlist) {
      const [first] = playlist.dateRanges;
      if (!first || playlist.skip || allSegments(playlist).some(({ dateMs }) => dateMs !== undefined)) return;
      yield { line: first.line, message: 'EXT-X-DATERANGE in a playlist without EXT-X-PROGRAM-DATE-TIME' };
    },
  },
  {
    rule: 'hls-daterange-start-missing',
    severity: 'error',
    clause: rfc('4.4.5.1'),
    *check({ dateRanges, skip }) {
      // In a delta the first tag of the range may have been left out.
      if (skip) return;
      const started = new Set<string | undefined>();
      for (const tag of dateRanges) {
        const id = attribute(tag, 'ID');
        if (attribute(tag, 'START-DATE') !== undefined) started.add(id);
        else if (!started.has(id)) {
          yield {
            line: tag.line,
            message: `the first EXT-X-DATERANGE of ${JSON.stringify(id)} has no START-DATE`,
          };
        }
      }
    },
  },
  {
    rule: 'hls-daterange-end-wrong',
    severity: 'error',
    clause: rfc('4.4.5.1'),
    *check({ dateRanges }) {
      for (const tag of dateRanges) {
        const startMs = timeOf(tag, 'START-DATE');
        const endMs = timeOf(tag, 'END-DATE');
        const seconds = numberAttribute(tag, 'DURATION');
        if (startMs === undefined || endMs === undefined) continue;
        if (endMs < startMs) yield { line: tag.line, message: 'END-DATE is before START-DATE' };
        else if (seconds !== undefined && Math.abs(startMs + seconds * 1000 - endMs) > END_TOLERANCE_MS) {
          yield { line: tag.line, message: 'END-DATE is not START-DATE + DURATION' };
        }
      }
    },
  },
  {
    rule: 'hls-daterange-end-on-next',
    severity: 'error',
    clause: rfc('4.4.5.1'),
    *check({ dateRanges }) {
      for (const tag of dateRanges) {
        if (!tag.attributes.has('END-ON-NEXT')) continue;
        if (!tag.attributes.has('CLASS')) yield { line: tag.line, message: 'END-ON-NEXT without CLASS' };
        for (const name of ['DURATION', 'END-DATE']) {
          if (tag.attributes.has(name))
            yield { line: tag.line, message: `END-ON-NEXT together with ${name}` };
        }
      }
    },
  },
  {
    rule: 'hls-daterange-changed',
    severity: 'error',
    clause: rfc('4.4.5.1'),
    *check({ dateRanges }) {
      const known = new Map<string, string>();
      for (const tag of dateRanges) {
        const id = attribute(tag, 'ID');
        for (const [name, { text }] of tag.attributes) {
          const key = `${id} ${name}`;
          if ((known.get(key) ?? text) !== text) {
            yield {
              line: tag.line,
              message: `${name} of date range ${JSON.stringify(id)} differs from the tag before it`,
            };
          }
          known.set(key, text);
        }
      }
    },
  },
  {
    rule: 'hls-splice-damaged',
    severity: 'error',
    clause: `${rfc('4.4.5.1.1')}; SCTE 35 9.6.1`,
    *check({ dateRanges }) {
      for (const tag of dateRanges) {
        for (const name of SPLICE_ATTRIBUTES) {
          const text = attribute(tag, name);
          const complaint = text === undefined ? undefined : spliceComplaint(text);
          if (complaint) yield { line: tag.line, message: `${name} ${complaint}` };
        }
      }
    },
  },
  {
    rule: 'hls-skip-dateranges-not-offered',
    severity: 'warning',
    clause: apple('14.5'),
    *check({ dateRanges, serverControl }) {
      if (dateRanges.length === 0 || serverControl?.canSkipUntilSeconds === undefined) return;
      if (!serverControl.canSkipDateRanges)
        yield 'date ranges and delta updates, but no CAN-SKIP-DATERANGES=YES';
    },
  },
];

function timeOf(tag: Tag, name: string): number | undefined {
  const text = attribute(tag, name);
  return text === undefined ? undefined : parseDateTime(text);
}

/** A splice_info_section begins with table id 0xfc, tells its length, and ends with its CRC. */
function spliceComplaint(hex: string): string | undefined {
  const bytes = Buffer.from(hex.slice(2), 'hex');
  const [tableId, high = 0, low = 0] = bytes;
  if (tableId !== 0xfc) return 'is no splice_info_section (table id 0xfc)';
  const sectionBytes = (((high & 0x0f) << 8) | low) + 3;
  if (sectionBytes !== bytes.length)
    return `has ${bytes.length} bytes, its section_length says ${sectionBytes}`;
  return crc32Mpeg2(bytes) === 0 ? undefined : 'has a wrong CRC_32';
}
