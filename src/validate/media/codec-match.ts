/** How a codec string that a manifest declares stands to the one that the media have. */
export type CodecMatch = 'same' | 'other' | 'level-too-low';

interface ProfileLevel {
  readonly profile: number;
  readonly level: number;
}

/** Compares two RFC 6381 strings, tolerant where writers of manifests legitimately differ. */
export function matchCodec(declared: string, actual: string): CodecMatch {
  const [declaredFormat = '', ...declaredRest] = declared.trim().split('.');
  const [actualFormat = '', ...actualRest] = actual.split('.');
  if (declaredFormat.toLowerCase() !== actualFormat.toLowerCase()) return 'other';
  // Nothing known of the codec itself on one side: the four characters are all there is to compare.
  if (declaredRest.length === 0 || actualRest.length === 0) return 'same';
  const compare = COMPARISONS[actualFormat.toLowerCase().slice(0, 4)];
  return compare ? compare(declaredRest, actualRest) : 'same';
}

type Compare = (declared: readonly string[], actual: readonly string[]) => CodecMatch;

const byProfileAndLevel =
  (read: (parts: readonly string[]) => ProfileLevel | undefined): Compare =>
  (declared, actual) => {
    const [wanted, found] = [read(declared), read(actual)];
    if (!found) return 'same';
    if (!wanted || wanted.profile !== found.profile) return 'other';
    return wanted.level < found.level ? 'level-too-low' : 'same';
  };

const COMPARISONS: Readonly<Record<string, Compare>> = {
  avc1: byProfileAndLevel(readAvc),
  avc3: byProfileAndLevel(readAvc),
  hvc1: byProfileAndLevel(readHevc),
  hev1: byProfileAndLevel(readHevc),
  av01: byProfileAndLevel(readAv1),
  vp09: byProfileAndLevel(readAv1),
  mp4a: compareMpeg4Audio,
};

/** `64001f`, or the older decimal `100.31`. */
function readAvc(parts: readonly string[]): ProfileLevel | undefined {
  const [first = '', second] = parts;
  if (second !== undefined) return profileLevel(Number(first), Number(second));
  if (!/^[0-9a-f]{6}$/i.test(first)) return undefined;
  return profileLevel(Number.parseInt(first.slice(0, 2), 16), Number.parseInt(first.slice(4), 16));
}

function readHevc(parts: readonly string[]): ProfileLevel | undefined {
  const [profile = '', , level = ''] = parts;
  return profileLevel(Number(profile.replace(/^[A-C]/, '')), Number(level.slice(1)));
}

/** AV1 and VP9 both begin with profile and level. */
function readAv1(parts: readonly string[]): ProfileLevel | undefined {
  const [profile = '', level = ''] = parts;
  return profileLevel(Number(profile), Number.parseInt(level, 10));
}

function profileLevel(profile: number, level: number): ProfileLevel | undefined {
  return Number.isNaN(profile) || Number.isNaN(level) ? undefined : { profile, level };
}

/** Audio object types of AAC with SBR and PS: their config may say plain AAC-LC and signal the rest implicitly. */
const IMPLICITLY_SIGNALLED = new Set([5, 29]);
const AAC_LC = 2;

function compareMpeg4Audio(declared: readonly string[], actual: readonly string[]): CodecMatch {
  const [declaredObject = '', declaredType] = declared;
  const [actualObject = '', actualType] = actual;
  if (declaredObject.toLowerCase() !== actualObject.toLowerCase()) return 'other';
  if (declaredType === undefined || actualType === undefined) return 'same';
  const [wanted, found] = [Number(declaredType), Number(actualType)];
  if (wanted === found) return 'same';
  return found === AAC_LC && IMPLICITLY_SIGNALLED.has(wanted) ? 'same' : 'other';
}
