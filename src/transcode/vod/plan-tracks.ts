import { languageName } from './master-language.ts';
import type { SurroundChoice } from './ladder-presets.ts';
import type { MasterAudio, MasterText, PlannedAudio, PlannedText } from './title-plan.ts';

/** Surround sound that CMAF carries and devices decode, as it is. */
const CARRIED = new Set(['aac', 'ac3', 'eac3']);
const STEREO_BPS = 128_000;
const MONO_BPS = 72_000;
/** Of 5.1 when the master does not say, and when it is encoded here. */
const CARRIED_BPS: Readonly<Record<string, number>> = { aac: 384_000, ac3: 448_000, eac3: 384_000 };
const SURROUND_BPS = 384_000;
const SURROUND_CHANNELS = 6;
/** Others are resampled: those play everywhere. */
const SAMPLE_RATES = [44_100, 48_000];
const DEFAULT_SAMPLE_RATE = 48_000;
/** AAC says its rate, and that it is spectral-band-replicated, in ways that are only sure at these. */
const CARRIED_RATES = new Set([32_000, 44_100, 48_000]);

/**
 * The sound of a title: stereo in AAC of every track (mono stays mono), surround beside it, the default first. One is the
 * default: the first that the master marks, else the first.
 */
export function planAudios(audios: readonly MasterAudio[], surround: SurroundChoice): PlannedAudio[] {
  const ids = new Names();
  const labels = new Names();
  const marked = Math.max(
    0,
    audios.findIndex(({ isDefault }) => isDefault),
  );
  const planned = audios.map((audio, at) => {
    const isDefault = at === marked;
    const stereo = stereoOf(audio, isDefault, ids, labels);
    return { isDefault, tracks: [stereo, ...surroundOf(audio, stereo.label, surround, ids, labels)] };
  });
  return planned
    .toSorted((a, b) => Number(b.isDefault) - Number(a.isDefault))
    .flatMap(({ tracks }) => tracks);
}

function stereoOf(audio: MasterAudio, isDefault: boolean, ids: Names, labels: Names): PlannedAudio {
  const { language, sampleRate } = audio;
  const channels = Math.min(2, audio.channels);
  return {
    id: ids.take(`audio-${idPart(language)}`, '-'),
    index: audio.index,
    codec: 'aac',
    channels,
    sampleRate: SAMPLE_RATES.includes(sampleRate) ? sampleRate : DEFAULT_SAMPLE_RATE,
    bitrateBps: channels === 1 ? MONO_BPS : STEREO_BPS,
    language,
    label: labels.take(audio.label ?? languageName(language) ?? 'Audio', ' '),
    isDefault,
  };
}

function surroundOf(
  audio: MasterAudio,
  stereoLabel: string,
  choice: SurroundChoice,
  ids: Names,
  labels: Names,
): PlannedAudio[] {
  if (audio.channels <= 2 || choice === 'none') return [];
  const isCarried = CARRIED.has(audio.codec) && CARRIED_RATES.has(audio.sampleRate);
  if (!isCarried && choice !== 'encode') return [];
  const channels = isCarried ? audio.channels : Math.min(SURROUND_CHANNELS, audio.channels);
  return [
    {
      id: ids.take(`audio-${idPart(audio.language)}-surround`, '-'),
      index: audio.index,
      codec: isCarried ? 'copy' : 'aac',
      channels,
      sampleRate: isCarried ? audio.sampleRate : DEFAULT_SAMPLE_RATE,
      bitrateBps: isCarried ? (audio.bitrateBps ?? CARRIED_BPS[audio.codec] ?? SURROUND_BPS) : SURROUND_BPS,
      language: audio.language,
      label: labels.take(`${stereoLabel} (${channelsName(channels)})`, ' '),
      isDefault: false,
    },
  ];
}

function channelsName(channels: number): string {
  const names: Readonly<Record<number, string>> = { 6: '5.1', 7: '6.1', 8: '7.1' };
  return names[channels] ?? `${channels} channels`;
}

/** The text tracks of a title. At most one is the default, and none that is forced. */
export function planTexts(texts: readonly MasterText[]): PlannedText[] {
  const ids = new Names();
  const labels = new Names();
  const marked = texts.findIndex(({ isDefault, isForced }) => isDefault && !isForced);
  return texts.map((text, at) => {
    const { index, path, codec, language, isForced } = text;
    const name = text.label ?? languageName(language) ?? 'Subtitles';
    return {
      id: ids.take(`text-${idPart(language)}${isForced ? '-forced' : ''}`, '-'),
      ...{ index, path, codec, language, isForced },
      label: labels.take(isForced && text.label === undefined ? `${name} (forced)` : name, ' '),
      isDefault: at === marked,
    };
  });
}

const MAX_ID_PART = 24;

/** Of a language tag, for ids that stand in URLs. */
function idPart(language: string): string {
  return language
    .toLowerCase()
    .replace(/[^a-z0-9-]/g, '')
    .slice(0, MAX_ID_PART);
}

/** Gives each name once: `audio-en`, `audio-en-2`. */
class Names {
  readonly #taken = new Set<string>();

  take(wanted: string, separator: string): string {
    let name = wanted;
    for (let count = 2; this.#taken.has(name); count += 1) name = `${wanted}${separator}${count}`;
    this.#taken.add(name);
    return name;
  }
}
