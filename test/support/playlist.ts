/**
 * A strict LL-HLS playlist reader for tests, written from the checklist and not from the renderer: it walks the
 * emission order as a state machine and throws on anything that is out of place, twice, or malformed.
 */

export interface ParsedPart {
  readonly uri: string;
  readonly duration: number;
  /** As printed. */
  readonly durationText: string;
  readonly independent: boolean;
}

export interface ParsedSegment {
  readonly msn: number;
  /** Undefined for the open segment, of which only parts are listed. */
  readonly uri: string | undefined;
  readonly duration: number | undefined;
  readonly durationText: string | undefined;
  /** EXT-X-DISCONTINUITY stands before it. */
  readonly discontinuity: boolean;
  readonly discontinuityNumber: number;
  /** In force. */
  readonly map: string;
  readonly mapStated: boolean;
  readonly dateMs: number;
  readonly gap: boolean;
  readonly parts: readonly ParsedPart[];
}

export interface ParsedPlaylist {
  readonly version: number;
  readonly targetDuration: number;
  readonly serverControl: ReadonlyMap<string, string>;
  readonly serverControlText: string;
  readonly partTarget: number;
  readonly mediaSequence: number;
  readonly discontinuitySequence: number;
  readonly skipped: number;
  readonly skipAttributes: ReadonlyMap<string, string>;
  /** Complete ones only; the first has msn mediaSequence + skipped. */
  readonly segments: readonly ParsedSegment[];
  readonly open: ParsedSegment | undefined;
  readonly hint: string | undefined;
  readonly reports: readonly { readonly uri: string; readonly msn: number; readonly part: number }[];
  readonly ended: boolean;
}

const HEAD = [
  'EXT-X-VERSION',
  'EXT-X-TARGETDURATION',
  'EXT-X-SERVER-CONTROL',
  'EXT-X-PART-INF',
  'EXT-X-MEDIA-SEQUENCE',
  'EXT-X-DISCONTINUITY-SEQUENCE',
] as const;

/** Ranks of the tags before a segment's URI: each at most once but PART, never going back. */
const SEGMENT_ORDER = new Map([
  ['EXT-X-DISCONTINUITY', 1],
  ['EXT-X-MAP', 2],
  ['EXT-X-PROGRAM-DATE-TIME', 3],
  ['EXT-X-GAP', 4],
  ['EXT-X-PART', 5],
  ['EXTINF', 6],
]);

const ATTRIBUTE = /([A-Z0-9-]+)=("[^"\r\n]*"|[^",\s]+)(,|$)/y;

export function attributes(text: string): Map<string, string> {
  const found = new Map<string, string>();
  ATTRIBUTE.lastIndex = 0;
  let at = 0;
  while (at < text.length) {
    ATTRIBUTE.lastIndex = at;
    const match = ATTRIBUTE.exec(text);
    if (!match) throw new Error(`bad attribute list: ${text}`);
    const [whole, name = '', value = '', comma] = match;
    if (found.has(name)) throw new Error(`attribute twice: ${name}`);
    found.set(name, value.startsWith('"') ? value.slice(1, -1) : value);
    at += whole.length;
    if (comma === ',' && at === text.length) throw new Error('attribute list ends with a comma');
  }
  return found;
}

interface Line {
  readonly tag: string;
  readonly value: string;
}

function split(line: string): Line {
  if (!line.startsWith('#')) return { tag: 'URI', value: line };
  const colon = line.indexOf(':');
  return colon < 0
    ? { tag: line.slice(1), value: '' }
    : { tag: line.slice(1, colon), value: line.slice(colon + 1) };
}

function need(value: string | undefined, what: string): string {
  if (value === undefined) throw new Error(`missing ${what}`);
  return value;
}

function decimal(text: string, what: string): number {
  if (!/^\d+(\.\d+)?$/.test(text)) throw new Error(`not a decimal: ${what} ${text}`);
  return Number(text);
}

function integer(text: string, what: string): number {
  if (!/^\d+$/.test(text)) throw new Error(`not an integer: ${what} ${text}`);
  return Number(text);
}

function part(value: string): ParsedPart {
  const own = attributes(value);
  const durationText = need(own.get('DURATION'), 'PART DURATION');
  if (!/^\d+\.\d{5,}$/.test(durationText))
    throw new Error(`PART DURATION has too few decimals: ${durationText}`);
  const independent = own.get('INDEPENDENT');
  if (independent !== undefined && independent !== 'YES') throw new Error('INDEPENDENT is YES or absent');
  for (const name of own.keys())
    if (!['DURATION', 'URI', 'INDEPENDENT'].includes(name)) throw new Error(name);
  return {
    uri: need(own.get('URI'), 'PART URI'),
    duration: Number(durationText),
    durationText,
    independent: independent === 'YES',
  };
}

export function parsePlaylist(text: string): ParsedPlaylist {
  if (!text.startsWith('#EXTM3U\n')) throw new Error('must begin with #EXTM3U');
  if (!text.endsWith('\n') || text.includes('\r') || text.includes('\n\n')) throw new Error('bad line ends');
  const lines = text.split('\n').slice(1, -1).map(split);
  let at = 0;
  const head = new Map<string, string>();
  for (const tag of HEAD) {
    const line = lines[at++];
    if (line?.tag !== tag) throw new Error(`expected ${tag}, found ${line?.tag}`);
    head.set(tag, line.value);
  }
  let skipAttributes = new Map<string, string>();
  if (lines[at]?.tag === 'EXT-X-SKIP') skipAttributes = attributes(lines[at++]?.value ?? '');
  const skipped =
    skipAttributes.size > 0 ? integer(need(skipAttributes.get('SKIPPED-SEGMENTS'), 'count'), 'skip') : 0;
  const mediaSequence = integer(need(head.get('EXT-X-MEDIA-SEQUENCE'), 'msn'), 'msn');
  const discontinuitySequence = integer(need(head.get('EXT-X-DISCONTINUITY-SEQUENCE'), 'dsn'), 'dsn');

  const segments: ParsedSegment[] = [];
  let open: ParsedSegment | undefined;
  let hint: string | undefined;
  let ended = false;
  const reports: { uri: string; msn: number; part: number }[] = [];
  let map: string | undefined;
  let discontinuityNumber = discontinuitySequence;
  let pending: Line[] = [];
  /** 0: segments; then the order of the tail. */
  let tail = 0;

  const segment = (uri: string | undefined): ParsedSegment => {
    let rank = 0;
    let duration: number | undefined;
    let durationText: string | undefined;
    let discontinuity = false;
    let mapStated = false;
    let dateMs: number | undefined;
    let gap = false;
    const parts: ParsedPart[] = [];
    for (const { tag, value } of pending) {
      const next = need(SEGMENT_ORDER.get(tag)?.toString(), `order of ${tag}`);
      if (Number(next) < rank || (Number(next) === rank && tag !== 'EXT-X-PART'))
        throw new Error(`${tag} out of order`);
      rank = Number(next);
      if (tag === 'EXT-X-DISCONTINUITY') discontinuity = true;
      else if (tag === 'EXT-X-MAP') {
        map = need(attributes(value).get('URI'), 'MAP URI');
        mapStated = true;
      } else if (tag === 'EXT-X-PROGRAM-DATE-TIME') {
        if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(value)) throw new Error(`date ${value}`);
        dateMs = Date.parse(value);
      } else if (tag === 'EXT-X-GAP') gap = true;
      else if (tag === 'EXT-X-PART') parts.push(part(value));
      else {
        durationText = value.replace(/,$/, '');
        if (!value.endsWith(',') || !/^\d+\.\d{5,}$/.test(durationText)) throw new Error(`EXTINF ${value}`);
        duration = decimal(durationText, 'EXTINF');
      }
    }
    if (uri !== undefined && duration === undefined) throw new Error('URI without EXTINF');
    if (dateMs === undefined) throw new Error('segment without PROGRAM-DATE-TIME');
    if (map === undefined) throw new Error('segment without MAP in force');
    if (discontinuity) discontinuityNumber++;
    pending = [];
    return {
      msn: mediaSequence + skipped + segments.length,
      uri,
      duration,
      durationText,
      discontinuity,
      discontinuityNumber,
      map,
      mapStated,
      dateMs,
      gap,
      parts,
    };
  };
  const closeOpen = (): void => {
    if (pending.length === 0) return;
    const candidate = segment(undefined);
    if (candidate.duration !== undefined || candidate.parts.length === 0)
      throw new Error('dangling segment tags');
    open = candidate;
  };
  const enter = (stage: number, tag: string): void => {
    if (tail === 0) closeOpen();
    if (stage < tail) throw new Error(`${tag} out of order`);
    tail = stage;
  };

  for (const line of lines.slice(at)) {
    if (line.tag === 'URI') {
      if (tail > 0) throw new Error('segment after the tail');
      segments.push(segment(line.value));
    } else if (SEGMENT_ORDER.has(line.tag)) {
      if (tail > 0) throw new Error(`${line.tag} after the tail`);
      pending.push(line);
    } else if (line.tag === 'EXT-X-ENDLIST') {
      enter(1, line.tag);
      if (ended) throw new Error('ENDLIST twice');
      ended = true;
    } else if (line.tag === 'EXT-X-PRELOAD-HINT') {
      enter(1, line.tag);
      if (hint !== undefined) throw new Error('two hints');
      const own = attributes(line.value);
      if (own.get('TYPE') !== 'PART') throw new Error('hint type');
      hint = need(own.get('URI'), 'hint URI');
    } else if (line.tag === 'EXT-X-RENDITION-REPORT') {
      enter(2, line.tag);
      const own = attributes(line.value);
      reports.push({
        uri: need(own.get('URI'), 'report URI'),
        msn: integer(need(own.get('LAST-MSN'), 'LAST-MSN'), 'LAST-MSN'),
        part: integer(need(own.get('LAST-PART'), 'LAST-PART'), 'LAST-PART'),
      });
    } else throw new Error(`tag not allowed in a media playlist here: ${line.tag}`);
  }
  if (tail === 0) closeOpen();
  if (ended && hint !== undefined) throw new Error('hint after the end');

  const serverControlText = need(head.get('EXT-X-SERVER-CONTROL'), 'SERVER-CONTROL');
  return {
    version: integer(need(head.get('EXT-X-VERSION'), 'version'), 'version'),
    targetDuration: integer(need(head.get('EXT-X-TARGETDURATION'), 'TD'), 'TD'),
    serverControl: attributes(serverControlText),
    serverControlText,
    partTarget: decimal(
      need(attributes(need(head.get('EXT-X-PART-INF'), 'PART-INF')).get('PART-TARGET'), 'PT'),
      'PT',
    ),
    mediaSequence,
    discontinuitySequence,
    skipped,
    skipAttributes,
    segments,
    open,
    hint,
    reports,
    ended,
  };
}

/** The lines of each segment of a playlist text, keyed by MSN; the text before and after them apart. */
export interface SegmentLines {
  readonly head: readonly string[];
  readonly bySegment: ReadonlyMap<number, readonly string[]>;
  readonly tail: readonly string[];
}

export function segmentLines(text: string): SegmentLines {
  const lines = text.split('\n').slice(0, -1);
  const first = lines.findIndex((line) => SEGMENT_ORDER.has(split(line).tag));
  if (first < 0) return { head: lines, bySegment: new Map(), tail: [] };
  const head = lines.slice(0, first);
  const parsed = parsePlaylist(text);
  let msn = parsed.mediaSequence + parsed.skipped;
  const bySegment = new Map<number, string[]>();
  const tail: string[] = [];
  let own: string[] = [];
  for (const line of lines.slice(first)) {
    const { tag } = split(line);
    if (tag === 'URI' || SEGMENT_ORDER.has(tag)) own.push(line);
    else tail.push(line);
    if (tag !== 'URI') continue;
    bySegment.set(msn++, own);
    own = [];
  }
  if (own.length > 0) bySegment.set(msn, own);
  return { head, bySegment, tail };
}

/**
 * What a player makes of a full playlist it holds and a delta (6.2.5.1): skipped segments from the old one, the rest
 * from the delta, and a full playlist's text again. Throws when a skipped segment is not held.
 */
export function mergeDelta(previousFull: string, delta: string): string {
  const parsed = parsePlaylist(delta);
  if (parsed.skipped === 0) return delta;
  const old = segmentLines(previousFull);
  const fresh = segmentLines(delta);
  const head = fresh.head
    .filter((line) => !line.startsWith('#EXT-X-SKIP'))
    .map((line) => (line.startsWith('#EXT-X-VERSION') ? '#EXT-X-VERSION:6' : line));
  const merged: string[] = [...head];
  const maps = mapsInForce(previousFull);
  let inForce: string | undefined;
  const push = (lines: readonly string[], map: string): void => {
    const bare = lines.filter((line) => !line.startsWith('#EXT-X-MAP'));
    const at = bare[0] === '#EXT-X-DISCONTINUITY' ? 1 : 0;
    if (map !== inForce) bare.splice(at, 0, `#EXT-X-MAP:URI="${map}"`);
    inForce = map;
    merged.push(...bare);
  };
  for (let msn = parsed.mediaSequence; msn < parsed.mediaSequence + parsed.skipped; msn++) {
    const lines = old.bySegment.get(msn);
    const map = maps.get(msn);
    if (!lines || map === undefined)
      throw new Error(`delta skips ${msn}, which the old playlist does not have`);
    if (!lines.at(-1)?.endsWith('.m4s')) throw new Error(`delta skips ${msn}, which was still open`);
    // Parts of a skipped segment are past the boundary and no longer listed.
    push(
      lines.filter((line) => !line.startsWith('#EXT-X-PART:')),
      map,
    );
  }
  const freshMaps = mapsInForce(delta);
  for (const [msn, lines] of fresh.bySegment) push(lines, freshMaps.get(msn) ?? '');
  return [...merged, ...fresh.tail, ''].join('\n');
}

function mapsInForce(text: string): Map<number, string> {
  const { segments, open } = parsePlaylist(text);
  return new Map([...segments, ...(open ? [open] : [])].map((segment) => [segment.msn, segment.map]));
}
