/** Where a tag may stand (RFC 8216bis 4.4). */
export type TagScope = 'both' | 'media' | 'segment' | 'metadata' | 'multivariant';

/** Form of an attribute's value (4.2). */
export type ValueForm =
  | 'integer'
  | 'decimal'
  | 'signed'
  | 'hex'
  | 'quoted'
  | 'resolution'
  | 'date'
  /** An enumerated string of one of these. */
  | readonly string[];

/** What the standard says of a tag. */
export interface TagRule {
  readonly scope: TagScope;
  /** Section of RFC 8216bis. */
  readonly section: string;
  readonly value: 'none' | 'integer' | 'decimal' | 'attributes' | 'date' | 'text';
  /** At most one in a playlist. */
  readonly once?: true;
  readonly required?: readonly string[];
  /** Forms of attributes; an attribute not named is not judged (clients ignore those they do not know). */
  readonly forms?: Readonly<Record<string, ValueForm>>;
}

const YES = ['YES'] as const;
const YES_NO = ['YES', 'NO'] as const;

const VARIANT_FORMS: Readonly<Record<string, ValueForm>> = {
  BANDWIDTH: 'integer',
  'AVERAGE-BANDWIDTH': 'integer',
  SCORE: 'decimal',
  CODECS: 'quoted',
  'SUPPLEMENTAL-CODECS': 'quoted',
  RESOLUTION: 'resolution',
  'FRAME-RATE': 'decimal',
  'HDCP-LEVEL': ['TYPE-0', 'TYPE-1', 'NONE'],
  'ALLOWED-CPC': 'quoted',
  'VIDEO-RANGE': ['SDR', 'HLG', 'PQ'],
  'STABLE-VARIANT-ID': 'quoted',
  'PATHWAY-ID': 'quoted',
  AUDIO: 'quoted',
  VIDEO: 'quoted',
  SUBTITLES: 'quoted',
  URI: 'quoted',
};

const KEY_FORMS: Readonly<Record<string, ValueForm>> = {
  URI: 'quoted',
  IV: 'hex',
  KEYFORMAT: 'quoted',
  KEYFORMATVERSIONS: 'quoted',
};

/** The tags of the standard that we judge. */
export const TAGS: Readonly<Record<string, TagRule>> = {
  EXTM3U: { scope: 'both', section: '4.4.1.1', value: 'none', once: true },
  'EXT-X-VERSION': { scope: 'both', section: '4.4.1.2', value: 'integer', once: true },
  'EXT-X-INDEPENDENT-SEGMENTS': { scope: 'both', section: '4.4.2.1', value: 'none', once: true },
  'EXT-X-START': {
    scope: 'both',
    section: '4.4.2.2',
    value: 'attributes',
    once: true,
    required: ['TIME-OFFSET'],
    forms: { 'TIME-OFFSET': 'signed', PRECISE: YES_NO },
  },
  'EXT-X-DEFINE': {
    scope: 'both',
    section: '4.4.2.3',
    value: 'attributes',
    forms: { NAME: 'quoted', VALUE: 'quoted', IMPORT: 'quoted', QUERYPARAM: 'quoted' },
  },

  'EXT-X-TARGETDURATION': { scope: 'media', section: '4.4.3.1', value: 'integer', once: true },
  'EXT-X-MEDIA-SEQUENCE': { scope: 'media', section: '4.4.3.2', value: 'integer', once: true },
  'EXT-X-DISCONTINUITY-SEQUENCE': { scope: 'media', section: '4.4.3.3', value: 'integer', once: true },
  'EXT-X-ENDLIST': { scope: 'media', section: '4.4.3.4', value: 'none', once: true },
  'EXT-X-PLAYLIST-TYPE': { scope: 'media', section: '4.4.3.5', value: 'text', once: true },
  'EXT-X-I-FRAMES-ONLY': { scope: 'media', section: '4.4.3.6', value: 'none', once: true },
  'EXT-X-PART-INF': {
    scope: 'media',
    section: '4.4.3.7',
    value: 'attributes',
    once: true,
    required: ['PART-TARGET'],
    forms: { 'PART-TARGET': 'decimal' },
  },
  'EXT-X-SERVER-CONTROL': {
    scope: 'media',
    section: '4.4.3.8',
    value: 'attributes',
    once: true,
    forms: {
      'CAN-SKIP-UNTIL': 'decimal',
      'CAN-SKIP-DATERANGES': YES,
      'HOLD-BACK': 'decimal',
      'PART-HOLD-BACK': 'decimal',
      'CAN-BLOCK-RELOAD': YES,
    },
  },

  EXTINF: { scope: 'segment', section: '4.4.4.1', value: 'text' },
  'EXT-X-BYTERANGE': { scope: 'segment', section: '4.4.4.2', value: 'text' },
  'EXT-X-DISCONTINUITY': { scope: 'segment', section: '4.4.4.3', value: 'none' },
  'EXT-X-KEY': {
    scope: 'segment',
    section: '4.4.4.4',
    value: 'attributes',
    required: ['METHOD'],
    forms: KEY_FORMS,
  },
  'EXT-X-MAP': {
    scope: 'segment',
    section: '4.4.4.5',
    value: 'attributes',
    required: ['URI'],
    forms: { URI: 'quoted', BYTERANGE: 'quoted' },
  },
  'EXT-X-PROGRAM-DATE-TIME': { scope: 'segment', section: '4.4.4.6', value: 'date' },
  'EXT-X-GAP': { scope: 'segment', section: '4.4.4.7', value: 'none' },
  'EXT-X-BITRATE': { scope: 'segment', section: '4.4.4.8', value: 'integer' },
  'EXT-X-PART': {
    scope: 'segment',
    section: '4.4.4.9',
    value: 'attributes',
    required: ['URI', 'DURATION'],
    forms: { URI: 'quoted', DURATION: 'decimal', INDEPENDENT: YES, BYTERANGE: 'quoted', GAP: YES },
  },

  'EXT-X-DATERANGE': {
    scope: 'metadata',
    section: '4.4.5.1',
    value: 'attributes',
    required: ['ID'],
    forms: {
      ID: 'quoted',
      CLASS: 'quoted',
      'START-DATE': 'date',
      'END-DATE': 'date',
      DURATION: 'decimal',
      'PLANNED-DURATION': 'decimal',
      'SCTE35-CMD': 'hex',
      'SCTE35-OUT': 'hex',
      'SCTE35-IN': 'hex',
      'END-ON-NEXT': YES,
    },
  },
  'EXT-X-SKIP': {
    scope: 'metadata',
    section: '4.4.5.2',
    value: 'attributes',
    once: true,
    required: ['SKIPPED-SEGMENTS'],
    forms: { 'SKIPPED-SEGMENTS': 'integer', 'RECENTLY-REMOVED-DATERANGES': 'quoted' },
  },
  'EXT-X-PRELOAD-HINT': {
    scope: 'metadata',
    section: '4.4.5.3',
    value: 'attributes',
    required: ['TYPE', 'URI'],
    forms: { URI: 'quoted', 'BYTERANGE-START': 'integer', 'BYTERANGE-LENGTH': 'integer' },
  },
  'EXT-X-RENDITION-REPORT': {
    scope: 'metadata',
    section: '4.4.5.4',
    value: 'attributes',
    required: ['URI'],
    forms: { URI: 'quoted', 'LAST-MSN': 'integer', 'LAST-PART': 'integer' },
  },

  'EXT-X-MEDIA': {
    scope: 'multivariant',
    section: '4.4.6.1',
    value: 'attributes',
    required: ['TYPE', 'GROUP-ID', 'NAME'],
    forms: {
      TYPE: ['AUDIO', 'VIDEO', 'SUBTITLES', 'CLOSED-CAPTIONS'],
      URI: 'quoted',
      'GROUP-ID': 'quoted',
      NAME: 'quoted',
      LANGUAGE: 'quoted',
      'ASSOC-LANGUAGE': 'quoted',
      'STABLE-RENDITION-ID': 'quoted',
      DEFAULT: YES_NO,
      AUTOSELECT: YES_NO,
      FORCED: YES_NO,
      'INSTREAM-ID': 'quoted',
      CHARACTERISTICS: 'quoted',
      CHANNELS: 'quoted',
    },
  },
  'EXT-X-STREAM-INF': {
    scope: 'multivariant',
    section: '4.4.6.2',
    value: 'attributes',
    required: ['BANDWIDTH'],
    forms: VARIANT_FORMS,
  },
  'EXT-X-I-FRAME-STREAM-INF': {
    scope: 'multivariant',
    section: '4.4.6.3',
    value: 'attributes',
    required: ['BANDWIDTH', 'URI'],
    forms: VARIANT_FORMS,
  },
  'EXT-X-SESSION-DATA': {
    scope: 'multivariant',
    section: '4.4.6.4',
    value: 'attributes',
    required: ['DATA-ID'],
    forms: { 'DATA-ID': 'quoted', VALUE: 'quoted', URI: 'quoted', LANGUAGE: 'quoted' },
  },
  'EXT-X-SESSION-KEY': {
    scope: 'multivariant',
    section: '4.4.6.5',
    value: 'attributes',
    required: ['METHOD'],
    forms: KEY_FORMS,
  },
  'EXT-X-CONTENT-STEERING': {
    scope: 'multivariant',
    section: '4.4.6.6',
    value: 'attributes',
    once: true,
    required: ['SERVER-URI'],
    forms: { 'SERVER-URI': 'quoted', 'PATHWAY-ID': 'quoted' },
  },
};
