import { describe, expect, it } from 'vitest';
import { encryptedInit, KID_TEXT } from '../../../test/support/encrypted-media.ts';
import { videoInit } from '../../../test/support/media-bytes.ts';
import { checkInitSegment } from '../media/check-init-segment.ts';
import { checkKey } from './check-key.ts';
import { placedRepresentations } from './mpd-query.ts';
import { parseMpd } from './parse-mpd.ts';

const COMMON = 'schemeIdUri="urn:mpeg:dash:mp4protection:2011"';
const SYSTEM = '<ContentProtection schemeIdUri="urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed"/>';
const common = (kid: string, value = 'cbcs'): string =>
  `<ContentProtection ${COMMON} value="${value}" cenc:default_KID="${kid}" xmlns:cenc="urn:mpeg:cenc:2013"/>`;

/** Rules that a set with these descriptors and a Representation with those breaks beside its initialization segment. */
function rulesOf(ofSet: string, ofRepresentation: string, init: Uint8Array): string[] {
  const text = `<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><AdaptationSet>${ofSet}<Representation id="v">${ofRepresentation}</Representation></AdaptationSet></Period></MPD>`;
  const outcome = parseMpd(text, 'http://origin.test/m.mpd');
  if (outcome.kind !== 'mpd') throw new Error(outcome.reason);
  const [placed] = placedRepresentations(outcome.mpd);
  const expected = {
    format: 'dash',
    kind: 'video',
    codecs: undefined,
    width: undefined,
    height: undefined,
  } as const;
  const facts = checkInitSegment(init, expected, () => {});
  if (!placed || !facts) throw new Error('nothing to judge');
  return checkKey(placed, facts).map(({ rule }) => rule);
}

const OTHER = KID_TEXT.replace('10', 'ff');

describe('ContentProtection beside the initialization segment', () => {
  it('is right when key, scheme and the fact of encryption agree', () => {
    expect(rulesOf(common(KID_TEXT), '', encryptedInit('video'))).toEqual([]);
    expect(rulesOf('', common(KID_TEXT.toUpperCase()), encryptedInit('video'))).toEqual([]);
    expect(rulesOf('', common(KID_TEXT, 'cenc'), encryptedInit('video', { scheme: 'cenc' }))).toEqual([]);
    expect(rulesOf(common(`${OTHER} ${KID_TEXT}`), '', encryptedInit('video'))).toEqual([]);
    expect(rulesOf('', '', videoInit())).toEqual([]);
  });

  it('that is said elsewhere in the MPD is not judged', () => {
    expect(rulesOf(`<ContentProtection ${COMMON} ref="k1"/>`, '', encryptedInit('video'))).toEqual([]);
  });

  it.each<readonly [string, string, Uint8Array]>([
    ['dash-kid-mismatch', common(OTHER), encryptedInit('video')],
    ['dash-protection-mismatch', common(KID_TEXT, 'cenc'), encryptedInit('video')],
    ['dash-protection-missing', '', encryptedInit('video')],
    ['dash-protection-on-clear', common(KID_TEXT), videoInit()],
    ['dash-protection-on-clear', SYSTEM, videoInit()],
  ])('is told: %s', (rule, descriptors, init) => {
    expect(rulesOf(descriptors, '', init)).toEqual([rule]);
  });

  it('of the Representation counts before that of its set', () => {
    expect(rulesOf(common(OTHER), common(KID_TEXT), encryptedInit('video'))).toEqual([]);
    expect(rulesOf(common(KID_TEXT), common(OTHER), encryptedInit('video'))).toEqual(['dash-kid-mismatch']);
  });
});
