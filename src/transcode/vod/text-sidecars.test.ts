import { describe, expect, it } from 'vitest';
import { languageName, languageTag } from './master-language.ts';
import { decodeText } from './text-files.ts';
import { describeSidecar } from './text-sidecars.ts';

describe('describeSidecar', () => {
  it.each([
    ['/m/film.srt', 'subrip', 'und', false, undefined],
    ['/m/film.de.srt', 'subrip', 'de', false, undefined],
    ['/m/film.eng.forced.VTT', 'webvtt', 'en', true, undefined],
    ['/m/film.pt-BR.sdh.ttml', 'ttml', 'pt-BR', false, 'Português (Brasil) (SDH)'],
    ['/m/film.extended.cut.dfxp', 'ttml', 'und', false, undefined],
  ] as const)('reads from its name what it is: %s', (path, codec, language, isForced, label) => {
    expect(describeSidecar(path, undefined, 'film')).toEqual({
      ...{ index: undefined, path, codec, language, label, isForced },
      isDefault: false,
    });
  });

  it('believes who says the language, and knows no other files', () => {
    expect(describeSidecar('/m/film.de.srt', 'fre', 'film')?.language).toBe('fr');
    expect(describeSidecar('/m/film.sub', undefined)).toBeUndefined();
  });
});

describe('languageTag', () => {
  it.each([
    ['ger', 'de'],
    ['deu', 'de'],
    ['fre', 'fr'],
    ['chi', 'zh'],
    ['pt_BR', 'pt-BR'],
    ['EN', 'en'],
    ['qaa', 'qaa'],
    ['mis', 'und'],
    ['English', 'und'],
    ['../etc', 'und'],
    ['', 'und'],
    [undefined, 'und'],
  ])('makes BCP 47 of what containers say: %s is %s', (given, tag) => {
    expect(languageTag(given)).toBe(tag);
  });

  it('has the name that the speakers of a language give it', () => {
    expect(['de', 'fr', 'ja', 'und', 'qaa'].map(languageName)).toEqual([
      'Deutsch',
      'Français',
      '日本語',
      undefined,
      undefined,
    ]);
  });
});

describe('decodeText', () => {
  it('reads UTF-8, UTF-16 with its mark, and what is neither as Windows wrote it', () => {
    const utf16 = Buffer.from('\uFEFFäö', 'utf16le');
    expect(decodeText(Buffer.from('\uFEFFäö'))).toBe('äö');
    expect(decodeText(utf16)).toBe('äö');
    expect(decodeText(Buffer.from(utf16).swap16())).toBe('äö');
    expect(decodeText(Buffer.from([0xe4, 0x80]))).toBe('ä€');
    expect(decodeText(new Uint8Array())).toBe('');
  });
});
