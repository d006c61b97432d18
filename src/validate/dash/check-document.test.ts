import { describe, expect, it } from 'vitest';
import { systemBox } from '../../../test/support/encrypted-media.ts';
import type { Finding } from '../finding.ts';
import { PLAYREADY, WIDEVINE } from '../media/system-header.ts';
import { checkDocument, DOCUMENT_RULES } from './check-document.ts';
import { parseMpd } from './parse-mpd.ts';

/** A live MPD like ours with two video Representations, audio, and two Periods that run on. */
const LIVE = `<?xml version="1.0" encoding="UTF-8"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" id="cam" profiles="urn:mpeg:dash:profile:isoff-live:2011,urn:mpeg:dash:profile:cmaf:2019" type="dynamic" availabilityStartTime="1970-01-01T00:00:00Z" publishTime="2026-11-22T12:00:00Z" minimumUpdatePeriod="PT2S" minBufferTime="PT0.25S" timeShiftBufferDepth="PT60S" suggestedPresentationDelay="PT0.5S" maxSegmentDuration="PT2S">
 <ServiceDescription id="0"><Latency referenceId="0" target="500" min="375" max="1000"/><PlaybackRate min="0.96" max="1.04"/></ServiceDescription>
 <Period id="p1" start="PT1000S">
  ${sets('1000')}
 </Period>
 <Period id="p2" start="PT1100S">
  ${sets('1100', '<SupplementalProperty schemeIdUri="urn:mpeg:dash:period-continuity:2015" value="p1"/>')}
 </Period>
 <UTCTiming schemeIdUri="urn:mpeg:dash:utc:http-xsdate:2014" value="/time"/>
</MPD>`;

function sets(startSeconds: string, continuity = ''): string {
  const template = (timescale: number) =>
    `<SegmentTemplate timescale="${timescale}" duration="${2 * timescale}" startNumber="500" presentationTimeOffset="${Number(startSeconds) * timescale}" availabilityTimeOffset="1.9" availabilityTimeComplete="false" initialization="$RepresentationID$/i.mp4" media="$RepresentationID$/$Number$.m4s"/>`;
  return `<AdaptationSet id="1" contentType="video" mimeType="video/mp4" segmentAlignment="true" startWithSAP="1" maxWidth="1280" maxHeight="720" maxFrameRate="30">
   ${continuity}<ProducerReferenceTime id="0" inband="true" type="captured" wallClockTime="1970-01-01T00:00:00Z" presentationTime="0"/>
   ${template(90_000)}
   <Representation id="v1" bandwidth="3000000" codecs="avc1.64001f" width="1280" height="720" frameRate="30"/>
   <Representation id="v2" bandwidth="900000" codecs="avc1.64001e" width="640" height="360" frameRate="30"/>
  </AdaptationSet>
  <AdaptationSet id="2" contentType="audio" mimeType="audio/mp4" segmentAlignment="true" startWithSAP="1">
   ${continuity}<ProducerReferenceTime id="1" inband="true" type="captured" wallClockTime="1970-01-01T00:00:00Z" presentationTime="0"/>
   ${template(48_000)}
   <Representation id="a" bandwidth="128000" codecs="mp4a.40.2" audioSamplingRate="48000"><AudioChannelConfiguration schemeIdUri="urn:mpeg:dash:23003:3:audio_channel_configuration:2011" value="2"/></Representation>
  </AdaptationSet>`;
}

/** A file for download, with a timeline. */
const STATIC = `<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:isoff-live:2011" type="static" mediaPresentationDuration="PT6S" minBufferTime="PT2S" maxSegmentDuration="PT2S">
 <Period id="0" start="PT0S"><AdaptationSet id="0" contentType="video" mimeType="video/mp4" segmentAlignment="true">
  <Representation id="v" bandwidth="600000" codecs="avc1.42c00d" width="320" height="180">
   <SegmentTemplate timescale="1000" initialization="i-$RepresentationID$.m4s" media="$RepresentationID$-$Time$.m4s">
    <SegmentTimeline><S t="0" d="2000" r="1"/><S d="2000"/></SegmentTimeline>
   </SegmentTemplate>
  </Representation>
 </AdaptationSet></Period>
</MPD>`;

function rulesOf(text: string): string[] {
  const outcome = parseMpd(text, 'https://cdn.example/live/cam/manifest.mpd');
  if (outcome.kind !== 'mpd') throw new Error(outcome.reason);
  const findings: Omit<Finding, 'url'>[] = [];
  checkDocument(outcome.mpd, (finding) => findings.push(finding));
  return [...new Set(findings.map(({ rule }) => rule))];
}

type Break = readonly [rule: string, from: string | RegExp, to: string];

/** One thing changed in the live MPD, and the rule that it breaks. */
const BROKEN_LIVE: readonly Break[] = [
  ['dash-attribute-value', 'minimumUpdatePeriod="PT2S"', 'minimumUpdatePeriod="2"'],
  ['dash-profiles', / profiles="[^"]*"/, ''],
  ['dash-type', 'type="dynamic"', 'type="live"'],
  ['dash-min-buffer-time', 'minBufferTime="PT0.25S"', ''],
  ['dash-availability-start', 'availabilityStartTime="1970-01-01T00:00:00Z"', ''],
  ['dash-publish-time', 'publishTime="2026-11-22T12:00:00Z"', ''],
  ['dash-duration-unknown', 'minimumUpdatePeriod="PT2S"', ''],
  ['dash-presentation-delay', 'suggestedPresentationDelay="PT0.5S"', 'suggestedPresentationDelay="PT1M"'],
  ['dash-max-segment-duration', 'maxSegmentDuration="PT2S"', 'maxSegmentDuration="PT1S"'],
  ['dash-utc-timing-missing', /<UTCTiming[^>]*>\s*<\/MPD>/, '</MPD>'],
  ['dash-utc-timing-scheme', 'utc:http-xsdate:2014', 'utc:sundial:2014'],
  ['dash-no-period', /<Period[\s\S]*<\/Period>/, ''],
  ['dash-period-id-missing', 'id="p1" ', ''],
  ['dash-period-id-twice', 'id="p2" ', 'id="p1" '],
  ['dash-period-start-unknown', ' start="PT1000S"', ''],
  ['dash-period-order', 'start="PT1100S"', 'start="PT900S"'],
  ['dash-period-overlap', 'start="PT1000S"', 'start="PT1000S" duration="PT200S"'],
  ['dash-period-empty', /(<Period id="p2"[^>]*>)[\s\S]*?<\/Period>/, '$1</Period>'],
  ['dash-period-continuity', 'period-continuity:2015" value="p1"', 'period-continuity:2015" value="p2"'],
  ['dash-period-continuity', 'start="PT1100S"', 'start="PT1101S"'],
  ['dash-period-continuity', /id="v1"/, 'id="v9"'],
  ['dash-set-id-twice', 'AdaptationSet id="2"', 'AdaptationSet id="1"'],
  ['dash-set-empty', /<Representation id="a"[\s\S]*?<\/Representation>/, ''],
  ['dash-representation-id', 'Representation id="v1"', 'Representation id="v 1"'],
  ['dash-representation-id', 'Representation id="v1"', 'Representation id="a"'],
  ['dash-representation-id', 'Representation id="v1"', 'Representation'],
  ['dash-bandwidth-missing', 'bandwidth="900000"', ''],
  ['dash-mime-type', 'mimeType="audio/mp4"', ''],
  ['dash-codecs-missing', 'codecs="mp4a.40.2"', ''],
  ['dash-content-type-mismatch', 'contentType="audio"', 'contentType="video"'],
  ['dash-video-size', 'height="360"', ''],
  ['dash-audio-attributes', 'audioSamplingRate="48000"', ''],
  ['dash-audio-attributes', /<AudioChannelConfiguration[^>]*>/, ''],
  ['dash-set-bounds', 'maxWidth="1280"', 'maxWidth="640"'],
  ['dash-set-bounds', 'maxFrameRate="30"', 'maxFrameRate="30000/1001"'],
  ['dash-set-bounds', 'maxWidth="1280"', 'maxWidth="1280" minBandwidth="1000000"'],
  ['dash-segment-alignment', ' segmentAlignment="true"', ''],
  ['dash-start-with-sap', ' startWithSAP="1"', ''],
  [
    'dash-switching-segments',
    /(<Representation id="v2"[^>]*)\/>/,
    '$1><SegmentTemplate duration="360000"/></Representation>',
  ],
  [
    'dash-switching-timescale',
    /(<Representation id="v2"[^>]*)\/>/,
    '$1><SegmentTemplate timescale="45000" duration="90000"/></Representation>',
  ],
  ['dash-reference-time-attributes', ' presentationTime="0"', ''],
  ['dash-addressing-missing', /<SegmentTemplate[^>]*>/, ''],
  ['dash-addressing-several', '<Representation id="v1"', '<SegmentBase/><Representation id="v1"'],
  ['dash-template-identifier', '$Number$.m4s', '$Number%5d$.m4s'],
  ['dash-template-media', '$Number$.m4s', 'segment.m4s'],
  ['dash-template-media', '$Number$.m4s', '$Time$.m4s'],
  ['dash-template-media', / media="[^"]*"/, ''],
  ['dash-template-initialization', 'i.mp4', 'i-$Number$.mp4'],
  ['dash-initialization-missing', / initialization="[^"]*"/, ''],
  ['dash-template-same-url', 'media="$RepresentationID$/', 'media="video/'],
  ['dash-segment-duration', ' duration="180000"', ''],
  ['dash-segment-duration', ' duration="180000"', ' duration="0"'],
  ['dash-segment-duration', 'timescale="90000"', 'timescale="0"'],
  ['dash-ll-offset-missing', 'availabilityTimeOffset="1.9"', ''],
  ['dash-ll-offset-too-large', 'availabilityTimeOffset="1.9"', 'availabilityTimeOffset="2"'],
  ['dash-ll-offset-too-large', 'availabilityTimeOffset="1.9"', 'availabilityTimeOffset="INF"'],
  ['dash-ll-complete-missing', ' availabilityTimeComplete="false"', ''],
  ['dash-ll-set-without-offset', / availabilityTimeOffset="1.9" availabilityTimeComplete="false"/, ''],
  ['dash-ll-clock', 'utc:http-xsdate:2014', 'utc:http-head:2014'],
  ['dash-ll-service-description', /<ServiceDescription[\s\S]*?<\/ServiceDescription>/, ''],
  ['dash-ll-service-description', ' target="500"', ''],
  ['dash-ll-reference-time', /<ProducerReferenceTime id="1"[^>]*>/, ''],
  ['dash-latency-values', 'min="375"', 'min="600"'],
  ['dash-latency-values', 'max="1000"', 'max="0"'],
  ['dash-latency-reference', 'referenceId="0"', 'referenceId="7"'],
  ['dash-latency-unreachable', 'availabilityTimeOffset="1.9"', 'availabilityTimeOffset="1.2"'],
  ['dash-playback-rate', 'PlaybackRate min="0.96"', 'PlaybackRate min="1.02"'],
  ['dash-playback-rate', 'max="1.04"', 'max="0.9"'],
];

const BROKEN_STATIC: readonly Break[] = [
  ['dash-static-update', 'type="static"', 'type="static" minimumUpdatePeriod="PT2S"'],
  ['dash-static-start', 'start="PT0S"', 'start="PT5S"'],
  ['dash-template-media', '$Time$', '$Time$-$Number$'],
  ['dash-segment-duration', 'timescale="1000"', 'timescale="1000" duration="2000"'],
  ['dash-timeline-value', '<S d="2000"/>', '<S d="0"/>'],
  ['dash-timeline-value', '<S d="2000"/>', '<S d="2000" r="x"/>'],
  ['dash-timeline-value', /<S [\s\S]*\/>\s*<\/SegmentTimeline>/, '</SegmentTimeline>'],
  ['dash-timeline-overlap', '<S d="2000"/>', '<S t="3900" d="2000"/>'],
  ['dash-timeline-gap', '<S d="2000"/>', '<S t="4100" d="2000"/>'],
];

const KID = '10111213-1415-1617-1819-1a1b1c1d1e1f';
const OTHER_KID = 'aaaaaaaa-1415-1617-1819-1a1b1c1d1e1f';
const bytesOf = (uuid: string): Uint8Array => new Uint8Array(Buffer.from(uuid.replaceAll('-', ''), 'hex'));
const psshOf = (kid: string, system = WIDEVINE): string =>
  Buffer.from(systemBox(system, [bytesOf(kid)], new Uint8Array(2))).toString('base64');
const protection = (kid: string, pssh = psshOf(kid)): string =>
  `<ContentProtection schemeIdUri="urn:mpeg:dash:mp4protection:2011" value="cbcs" cenc:default_KID="${kid}" xmlns:cenc="urn:mpeg:cenc:2013"/>
   <ContentProtection schemeIdUri="urn:uuid:EDEF8BA9-79D6-4ACE-A3C8-27DCD51D21ED" value="Widevine"><cenc:pssh xmlns:cenc="urn:mpeg:cenc:2013">${pssh}</cenc:pssh></ContentProtection>`;

/** The live one, encrypted: each Period has a key for its pictures and none for its sound. */
const ENCRYPTED = LIVE.replaceAll(/(<AdaptationSet id="1"[^>]*>)/g, `$1${protection(KID)}`);
/** Sound with the key of the pictures, but another description. */
const SHARED = ENCRYPTED.replace(
  /(<AdaptationSet id="2"[^>]*>)/,
  `$1${protection(KID, Buffer.from(systemBox(WIDEVINE, [bytesOf(KID)], new Uint8Array(9))).toString('base64'))}`,
);
const OWN_KEYS = LIVE.replace(
  /(<Representation id="v1"[^>]*)\/>(\s*<Representation id="v2"[^>]*)\/>/,
  `$1>${protection(KID)}</Representation>$2>${protection(OTHER_KID)}</Representation>`,
);

const BROKEN_ENCRYPTED: readonly Break[] = [
  ['dash-default-kid', ` cenc:default_KID="${KID}"`, ''],
  ['dash-default-kid', `default_KID="${KID}"`, `default_KID="${KID.replaceAll('-', '')}"`],
  ['dash-protection-scheme', 'value="cbcs"', 'value="aes"'],
  ['dash-protection-scheme', ' value="cbcs"', ''],
  ['dash-protection-common-missing', /<ContentProtection schemeIdUri="urn:mpeg:dash:mp4[^>]*>/, ''],
  ['dash-pssh', psshOf(KID), 'not base64!'],
  ['dash-pssh', psshOf(KID), Buffer.from('no box').toString('base64')],
  ['dash-pssh', psshOf(KID), ''],
  ['dash-pssh', psshOf(KID), psshOf(OTHER_KID)],
  ['dash-pssh', psshOf(KID), psshOf(KID, PLAYREADY)],
];

/** The same as a live one whose window is a timeline. */
const LIVE_TIMELINE = STATIC.replace('type="static" mediaPresentationDuration="PT6S"', () => {
  return 'type="dynamic" availabilityStartTime="2026-11-22T12:00:00Z" publishTime="2026-11-22T12:00:06Z" minimumUpdatePeriod="PT2S"';
}).replace('</MPD>', '<UTCTiming schemeIdUri="urn:mpeg:dash:utc:http-iso:2014" value="/t"/></MPD>');

describe('the rules of an MPD', () => {
  it('find nothing in good ones', () => {
    expect(rulesOf(LIVE)).toEqual([]);
    expect(rulesOf(STATIC)).toEqual([]);
    expect(rulesOf(LIVE_TIMELINE)).toEqual([]);
    expect(rulesOf(ENCRYPTED)).toEqual([]);
  });

  it.each(BROKEN_LIVE)('find %s: %s', (rule, from, to) => {
    const broken = LIVE.replace(from, to);
    expect(broken).not.toBe(LIVE);
    expect(rulesOf(broken)).toContain(rule);
  });

  it.each(BROKEN_STATIC)('find %s in a static one: %s', (rule, from, to) => {
    const broken = STATIC.replace(from, to);
    expect(broken).not.toBe(STATIC);
    expect(rulesOf(broken)).toContain(rule);
  });

  it.each(BROKEN_ENCRYPTED)('find %s in an encrypted one: %s', (rule, from, to) => {
    const broken = ENCRYPTED.replace(from, to);
    expect(broken).not.toBe(ENCRYPTED);
    expect(rulesOf(broken)).toEqual([rule]);
  });

  it('find dash-set-kids and dash-protection-differs where keys and sets do not go together', () => {
    expect(rulesOf(OWN_KEYS)).toEqual(['dash-set-kids']);
    expect(rulesOf(SHARED)).toEqual(['dash-protection-differs']);
  });

  it('find dash-update-period-too-long with a timeline', () => {
    const broken = LIVE_TIMELINE.replace('minimumUpdatePeriod="PT2S"', 'minimumUpdatePeriod="PT30S"');
    expect(rulesOf(broken)).toEqual(['dash-update-period-too-long']);
  });

  it('have each been seen to fire', () => {
    const seen = new Set([...BROKEN_LIVE, ...BROKEN_STATIC, ...BROKEN_ENCRYPTED].map(([rule]) => rule));
    const others = ['dash-update-period-too-long', 'dash-set-kids', 'dash-protection-differs'];
    for (const rule of others) seen.add(rule);
    expect(DOCUMENT_RULES.map(({ rule }) => rule).filter((rule) => !seen.has(rule))).toEqual([]);
    expect(new Set(DOCUMENT_RULES.map(({ rule }) => rule)).size).toBe(DOCUMENT_RULES.length);
  });

  it('never throw, however the MPD is cut', () => {
    for (const name of ['SegmentTemplate', 'Representation', 'AdaptationSet', 'Period', 'S']) {
      rulesOf(LIVE.replaceAll(new RegExp(`<(${name}) [^>]*?(/?)>`, 'g'), '<$1$2>'));
      rulesOf(STATIC.replaceAll(new RegExp(`<(${name}) [^>]*?(/?)>`, 'g'), '<$1$2>'));
    }
  });
});
