import { FindingLog } from '../../src/validate/finding.ts';
import { DATE_RANGE_RULES } from '../../src/validate/hls/date-range-rules.ts';
import { KEY_TEXT_RULES } from '../../src/validate/hls/key-rules.ts';
import { MEDIA_RULES } from '../../src/validate/hls/media-rules.ts';
import { MULTIVARIANT_RULES } from '../../src/validate/hls/multivariant-rules.ts';
import { isMultivariant, parsePlaylist } from '../../src/validate/hls/parse-playlist.ts';
import { PART_RULES } from '../../src/validate/hls/part-rules.ts';
import type { MediaPlaylist, MultivariantPlaylist } from '../../src/validate/hls/playlist.ts';
import { RELOAD_RULES } from '../../src/validate/hls/reload-rules.ts';
import { judge, type Rule } from '../../src/validate/hls/rule.ts';
import { TEXT_RULES } from '../../src/validate/hls/text-rules.ts';

export const URL_BASE = 'http://origin.test/live/cam/';

/** A plain live playlist with nothing wrong. */
export const PLAIN = `#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:2
#EXT-X-MEDIA-SEQUENCE:100
#EXT-X-DISCONTINUITY-SEQUENCE:3
#EXT-X-MAP:URI="init.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T12:00:00.000Z
#EXTINF:2.00000,
100.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T12:00:02.000Z
#EXTINF:2.00000,
101.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T12:00:04.000Z
#EXTINF:2.00000,
102.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T12:00:06.000Z
#EXTINF:2.00000,
103.m4s
`;

/** A low-latency one. */
export const LOW = `#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12,PART-HOLD-BACK=1.5,HOLD-BACK=6
#EXT-X-PART-INF:PART-TARGET=0.5
#EXT-X-MEDIA-SEQUENCE:100
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-MAP:URI="init.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T12:00:00.000Z
#EXTINF:2.00000,
100.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T12:00:02.000Z
#EXTINF:2.00000,
101.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T12:00:04.000Z
#EXT-X-PART:DURATION=0.50000,URI="102.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.50000,URI="102.1.m4s"
#EXT-X-PART:DURATION=0.50000,URI="102.2.m4s"
#EXT-X-PART:DURATION=0.50000,URI="102.3.m4s"
#EXTINF:2.00000,
102.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T12:00:06.000Z
#EXT-X-PART:DURATION=0.50000,URI="103.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.50000,URI="103.1.m4s"
#EXT-X-PART:DURATION=0.50000,URI="103.2.m4s"
#EXT-X-PART:DURATION=0.50000,URI="103.3.m4s"
#EXTINF:2.00000,
103.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-11-22T12:00:08.000Z
#EXT-X-PART:DURATION=0.50000,URI="104.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.50000,URI="104.1.m4s"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="104.2.m4s"
#EXT-X-RENDITION-REPORT:URI="audio.m3u8",LAST-MSN=104,LAST-PART=1
`;

/** A multivariant playlist with nothing wrong. */
export const MULTIVARIANT = `#EXTM3U
#EXT-X-VERSION:4
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="English",LANGUAGE="en",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="audio.m3u8"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subs",NAME="English",LANGUAGE="en",URI="subs.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=2000000,AVERAGE-BANDWIDTH=1500000,CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=1280x720,FRAME-RATE=30.000,AUDIO="aac",SUBTITLES="subs",CLOSED-CAPTIONS=NONE
720p.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=900000,AVERAGE-BANDWIDTH=700000,CODECS="avc1.64001e,mp4a.40.2",RESOLUTION=640x360,FRAME-RATE=30.000,AUDIO="aac",SUBTITLES="subs",CLOSED-CAPTIONS=NONE
360p.m3u8
`;

export function media(text: string | Uint8Array, url = `${URL_BASE}video.m3u8`): MediaPlaylist {
  const playlist = parsePlaylist(Buffer.from(text), url);
  if (isMultivariant(playlist)) throw new Error('is a multivariant playlist');
  return playlist;
}

export function multivariant(text: string, url = `${URL_BASE}index.m3u8`): MultivariantPlaylist {
  const playlist = parsePlaylist(Buffer.from(text), url);
  if (!isMultivariant(playlist)) throw new Error('is no multivariant playlist');
  return playlist;
}

/** Names of the rules that a view breaks, each once, in alphabetical order. */
export function broken<View>(rules: readonly Rule<View>[], view: View): string[] {
  const log = new FindingLog();
  judge(rules, view, { log, url: URL_BASE });
  return log.findings.map(({ rule }) => rule).toSorted();
}

/** Rules that the text of a media playlist breaks by itself. */
export function brokenInText(text: string | Uint8Array): string[] {
  const playlist = media(text);
  const found = [
    ...broken(TEXT_RULES, playlist),
    ...broken(MEDIA_RULES, playlist),
    ...broken(KEY_TEXT_RULES, playlist),
    ...broken(PART_RULES, playlist),
    ...broken(DATE_RANGE_RULES, playlist),
  ];
  return found.toSorted();
}

export function brokenInMultivariant(text: string): string[] {
  const playlist = multivariant(text);
  return [...broken(TEXT_RULES, playlist), ...broken(MULTIVARIANT_RULES, playlist)].toSorted();
}

/** Rules that a reload breaks. */
export function brokenByReload(before: string, after: string): string[] {
  return broken(RELOAD_RULES, { before: media(before), after: media(after) });
}
