/** What a file of a publishing point is, by its name. */
export type NamedKind = 'media' | 'mpd' | 'playlist' | 'unknown';

const KINDS: ReadonlyMap<string, NamedKind> = new Map<string, NamedKind>([
  ...['', 'cmfv', 'cmfa', 'cmft', 'cmfm', 'mp4', 'm4s', 'm4v', 'm4a', 'init'].map(
    (extension) => [extension, 'media'] as const,
  ),
  ['mpd', 'mpd'],
  ['m3u8', 'playlist'],
]);

/** Content-Type of each kind, without its parameters. None at all is taken on trust of the name. */
const ANY_TYPES: readonly string[] = ['', 'application/octet-stream'];
const MEDIA_TYPES: ReadonlySet<string> = new Set([
  ...ANY_TYPES,
  ...[
    'video/mp4',
    'audio/mp4',
    'application/mp4',
    'video/iso.segment',
    'audio/iso.segment',
    'video/m4s',
    'audio/m4s',
  ],
]);
const MANIFEST_TYPES: ReadonlySet<string> = new Set([
  ...ANY_TYPES,
  ...['application/dash+xml', 'application/xml', 'text/xml'],
  ...['application/vnd.apple.mpegurl', 'application/x-mpegurl', 'audio/mpegurl', 'audio/x-mpegurl'],
]);

/** Words that say what a file is and not of which track. */
const GENERIC_WORDS: ReadonlySet<string> = new Set([
  ...[
    'init',
    'initialization',
    'header',
    'hdr',
    'chunk',
    'seg',
    'segment',
    'media',
    'frag',
    'fragment',
    'part',
  ],
]);
const STREAMS_FORM = /^Streams\((.*)\)$/;
const SEPARATORS = /[-_.~@=,+ ]+/;

/** A file's name taken apart. */
export interface MediaName {
  readonly kind: NamedKind;
  /** The folder it lies in, `''` for the publishing point itself. */
  readonly folder: string;
  /** What may name its track, the most exact first; of an initialization segment the first is the track's name. */
  readonly candidates: readonly string[];
}

/**
 * Tells from a file's name of which track it may be. Known forms: `Streams(video.cmfv)` and `video.cmfv`, one name for
 * the init and all segments; `$RepresentationID$/init.mp4` with `$RepresentationID$/$Number$.m4s`; and
 * `init-stream$RepresentationID$.m4s` with `chunk-stream$RepresentationID$-$Number$.m4s`.
 */
export function parseMediaName(levels: readonly string[]): MediaName {
  const folder = levels.slice(0, -1).join('/');
  const last = levels.at(-1) ?? '';
  const file = STREAMS_FORM.exec(last)?.[1] ?? last;
  const dot = file.lastIndexOf('.');
  const extension = dot < 0 ? '' : file.slice(dot + 1).toLowerCase();
  const words = (dot < 0 ? file : file.slice(0, dot)).split(SEPARATORS);
  return { kind: KINDS.get(extension) ?? 'unknown', folder, candidates: candidatesOf(folder, words) };
}

/** Whether a body of this Content-Type may be what its name says. */
export function isAcceptedType(kind: NamedKind, contentType: string): boolean {
  const type = (contentType.split(';', 1)[0] ?? '').trim().toLowerCase();
  if (kind === 'unknown') return false;
  return (kind === 'media' ? MEDIA_TYPES : MANIFEST_TYPES).has(type);
}

function candidatesOf(folder: string, words: readonly string[]): readonly string[] {
  const own = words.filter((word) => word !== '' && !GENERIC_WORDS.has(word.toLowerCase()));
  const names = [
    own,
    withoutNumber(own, own.findLastIndex(isNumber)),
    withoutNumber(own, own.findIndex(isNumber)),
  ];
  return [...new Set(names.map((name) => `${folder}/${name.join('-')}`))];
}

function withoutNumber(words: readonly string[], index: number): readonly string[] {
  return index < 0 ? words : words.toSpliced(index, 1);
}

function isNumber(word: string): boolean {
  return /^\d+$/.test(word);
}
