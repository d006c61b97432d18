import { describe, expect, it } from 'vitest';
import { exampleKid, exampleProtection } from '../../../test/support/protection.ts';
import { encryptedModel, withSmallRung } from '../../../test/support/tiered-window.ts';
import { kidHex } from '../../drm/kid.ts';
import type { LiveWindow } from '../../stream/live-window.ts';
import { nextPart } from './listing.ts';
import { renderMediaPlaylist } from './media-playlist.ts';
import { renderMultivariant } from './multivariant.ts';

function lines(
  window: LiveWindow,
  id: string,
  options: Parameters<typeof renderMediaPlaylist>[2] = {},
): string[] {
  const rendition = window.renditions.find((candidate) => candidate.id === id);
  if (!rendition) throw new Error(`no rendition ${id}`);
  return renderMediaPlaylist(window, rendition, options).split('\n');
}

function keyLine(kid: Uint8Array, tag = 'EXT-X-KEY', method = 'SAMPLE-AES'): string {
  const base64 = Buffer.from(kid).toString('base64');
  return `#${tag}:METHOD=${method},URI="data:text/plain;base64,${base64}",KEYFORMAT="org.w3.clearkey",KEYFORMATVERSIONS="1",KEYID=0x${kidHex(kid)}`;
}

const isKey = (line: string): boolean => line.startsWith('#EXT-X-KEY');

describe('the playlist of an encrypted rendition', () => {
  it('names the key once, before the initialization segment', () => {
    const video = lines(encryptedModel().run(9000), 'video');
    expect(video.filter(isKey)).toEqual([keyLine(exampleKid('HD'))]);
    expect(video.findIndex(isKey)).toBe(video.findIndex((line) => line.startsWith('#EXT-X-MAP')) - 1);
  });

  it('has a key of its own for sound', () => {
    expect(lines(encryptedModel().run(9000), 'audio').filter(isKey)).toEqual([keyLine(exampleKid('AUDIO'))]);
  });

  it('names the next key with the next initialization segment, without a discontinuity', () => {
    const video = lines(encryptedModel().run(4000).rekey().run(4000), 'video');
    expect(video.filter(isKey)).toEqual([keyLine(exampleKid('HD', 0)), keyLine(exampleKid('HD', 1))]);
    const second = video.findLastIndex(isKey);
    expect(video[second + 1]).toBe('#EXT-X-MAP:URI="video/p2/init.mp4"');
    expect(video).not.toContain('#EXT-X-DISCONTINUITY');
  });

  it('says so again in a delta, which may begin behind the first naming', () => {
    const delta = lines(encryptedModel().run(20_000), 'video', { skip: 'YES' });
    expect(delta.some((line) => line.startsWith('#EXT-X-SKIP'))).toBe(true);
    expect(delta.filter(isKey)).toEqual([keyLine(exampleKid('HD'))]);
  });

  it('says where encryption ends', () => {
    const model = encryptedModel({
      protection: (_, keyPeriod) => (keyPeriod === 0 ? exampleProtection('HD') : undefined),
    });
    const video = lines(model.run(4000).rekey().run(4000), 'video');
    expect(video.filter(isKey)).toEqual([keyLine(exampleKid('HD')), '#EXT-X-KEY:METHOD=NONE']);
  });

  it('says nothing of keys when nothing is encrypted', () => {
    const clear = lines(encryptedModel({ protection: () => undefined }).run(9000), 'video');
    expect(clear.some((line) => line.includes('KEY'))).toBe(false);
  });

  it('calls the method of cenc by its name', () => {
    const model = encryptedModel({ protection: () => exampleProtection('HD', 0, { scheme: 'cenc' }) });
    const method = 'SAMPLE-AES-CTR';
    expect(lines(model.run(9000), 'video').filter(isKey)).toEqual([
      keyLine(exampleKid('HD'), 'EXT-X-KEY', method),
    ]);
  });

  it('gives the plain key form, and only that, to whom asks for it, and to nobody else', () => {
    const window = encryptedModel().run(9000);
    const uri = `https://keys.example/license/key/${kidHex(exampleKid('HD'))}`;
    expect(lines(window, 'video', { keyFormat: 'identity' }).filter(isKey)).toEqual([
      `#EXT-X-KEY:METHOD=SAMPLE-AES,URI="${uri}",KEYFORMAT="identity"`,
    ]);
    expect(lines(window, 'video', { keyFormat: 'identity' }).join()).toContain(
      'URI="audio.m3u8?kf=identity",LAST-MSN',
    );
    expect(lines(window, 'video').join()).not.toContain('identity');
  });

  it('hints at the announced period where its first part comes next, and at none before', () => {
    const model = encryptedModel({ eagerOpen: true }).run(7900).announceRekey(1);
    const rendition = model.rendition('video');
    expect(nextPart(model, rendition)).toMatchObject({ period: 'p1' });
    const open = rendition.segments.at(-1);
    if (!open) throw new Error('nothing is open');
    open.partsForetold = true;
    expect(nextPart(model, rendition)).toEqual({ period: 'p2', number: open.number + 1, part: 0 });
  });
});

describe('the multivariant playlist of an encrypted stream', () => {
  const window = withSmallRung(encryptedModel().run(9000));

  it('names each key once as a session key', () => {
    const keys = renderMultivariant(window)
      .split('\n')
      .filter((line) => line.startsWith('#EXT-X-SESSION-KEY'));
    expect(keys).toEqual(
      (['HD', 'SD', 'AUDIO'] as const).map((tier) => keyLine(exampleKid(tier), 'EXT-X-SESSION-KEY')),
    );
  });

  it('names to a viewer only what he may have', () => {
    const text = renderMultivariant(window, { tiers: new Set(['AUDIO', 'SD']) });
    expect(text).toContain('\n480p.m3u8');
    expect(text).toContain('URI="audio.m3u8"');
    expect(text).not.toContain('video.m3u8');
    expect(text).not.toContain(kidHex(exampleKid('HD')));
  });

  it('hands the key format on to every playlist below it', () => {
    const uris = renderMultivariant(window, { keyFormat: 'identity' }).match(/\w+\.m3u8(?:\?\w+=\w+)?/g);
    expect(uris?.toSorted()).toEqual(['480p', 'audio', 'video'].map((id) => `${id}.m3u8?kf=identity`));
  });
});
