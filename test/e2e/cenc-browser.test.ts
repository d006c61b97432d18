import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAvcConfig } from '../../src/media/h264.ts';
import type { ProtectionScheme } from '../../src/media/protection.ts';
import { launchBrowser, withPage } from '../support/browser.ts';
import { type Clip, makeClip } from '../support/cenc-clips.ts';
import { isVideo, KEY, KID, pack } from '../support/cenc-packer.ts';
import { type StaticServer, serveFolder } from '../support/static-server.ts';

const SCHEMES: readonly ProtectionScheme[] = ['cenc', 'cbcs'];
const PLAY_MS = 60_000;

let folder: string;
let server: StaticServer;
let browser: Browser;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-cenc-'));
  // A page of its own origin on loopback: EME wants a secure context.
  server = await serveFolder(folder);
  browser = await launchBrowser();
});

afterAll(async () => {
  await browser?.close();
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

/** What the page is given, and what came of it. */
interface Playback {
  readonly scheme: string;
  readonly contentType: string;
  readonly pieces: readonly string[];
  readonly kid: string;
  readonly key: string;
}

interface Played {
  readonly error: string | undefined;
  readonly ended: boolean;
  readonly frames: number;
  readonly soundBytes: number;
}

function contentTypeOf({ track }: Clip): string {
  if (track.kind === 'audio') return 'audio/mp4; codecs="mp4a.40.2"';
  return `video/mp4; codecs="${parseAvcConfig(track.config)?.codecString}"`;
}

async function play(clip: Clip, scheme: ProtectionScheme, key: Uint8Array): Promise<Played> {
  const { init, chunks } = pack(clip, scheme);
  const playback: Playback = {
    scheme,
    contentType: contentTypeOf(clip),
    pieces: [init, ...chunks].map((piece) => Buffer.from(piece).toString('base64')),
    kid: Buffer.from(KID).toString('base64url'),
    key: Buffer.from(key).toString('base64url'),
  };
  let played: Played | undefined;
  await withPage(browser, async (page) => {
    await page.goto(`${server.url}time`);
    played = await page.evaluate(playEncrypted, playback);
  });
  if (!played) throw new Error('nothing was played');
  return played;
}

/** Runs in the page: Media Source Extensions and ClearKey, without any player. */
async function playEncrypted(playback: Playback): Promise<Played> {
  const { scheme, contentType, pieces, kid, key } = playback;
  const bytes = (base64: string): Uint8Array<ArrayBuffer> =>
    Uint8Array.from(atob(base64), (character) => character.codePointAt(0) ?? 0);
  const media = document.createElement('video');
  document.body.append(media);
  const capabilities = [{ contentType, encryptionScheme: scheme }];
  const kind = contentType.startsWith('video') ? 'videoCapabilities' : 'audioCapabilities';
  const access = await navigator.requestMediaKeySystemAccess('org.w3.clearkey', [
    { initDataTypes: ['keyids'], [kind]: capabilities },
  ]);
  const keys = await access.createMediaKeys();
  await media.setMediaKeys(keys);
  const session = keys.createSession();
  const ready = new Promise<void>((resolve) => {
    session.addEventListener('message', () => {
      const licence = JSON.stringify({ keys: [{ kty: 'oct', kid, k: key }], type: 'temporary' });
      void session.update(new TextEncoder().encode(licence)).then(resolve);
    });
  });
  await session.generateRequest('keyids', new TextEncoder().encode(JSON.stringify({ kids: [kid] })));
  await ready;
  const source = new MediaSource();
  media.src = URL.createObjectURL(source);
  await new Promise((resolve) => source.addEventListener('sourceopen', resolve, { once: true }));
  const buffer = source.addSourceBuffer(contentType);
  for (const piece of pieces) {
    if (media.error) break;
    const appended = new Promise((resolve) => buffer.addEventListener('updateend', resolve, { once: true }));
    buffer.appendBuffer(bytes(piece));
    await appended;
  }
  if (!media.error) {
    source.endOfStream();
    media.currentTime = media.buffered.start(0);
  }
  const over = new Promise<void>((resolve) => {
    for (const event of ['ended', 'error']) media.addEventListener(event, () => resolve(), { once: true });
    if (media.error) resolve();
  });
  void media.play().catch(() => {});
  await over;
  return {
    error: media.error?.message,
    ended: media.ended,
    frames: media.getVideoPlaybackQuality().totalVideoFrames,
    soundBytes: (media as unknown as { webkitAudioDecodedByteCount: number }).webkitAudioDecodedByteCount,
  };
}

describe.each(SCHEMES)('Chromium with ClearKey, %s', (scheme) => {
  it.concurrent.each([
    'H.264 CABAC, B-frames, weights',
    'H.264 interlaced',
    'H.264 of four slices',
    'H.264 of fifty slices',
  ])('plays %s to its end', { timeout: PLAY_MS }, async (name) => {
    const clip = await makeClip(folder, name);
    expect(isVideo(clip)).toBe(true);
    const { error, ended, frames } = await play(clip, scheme, KEY);
    expect(error).toBeUndefined();
    expect(ended).toBe(true);
    expect(frames).toBeGreaterThan(clip.samples.length / 2);
  });

  it.concurrent('plays AAC to its end', { timeout: PLAY_MS }, async () => {
    const { error, ended, soundBytes } = await play(await makeClip(folder, 'AAC'), scheme, KEY);
    expect(error).toBeUndefined();
    expect(ended).toBe(true);
    expect(soundBytes).toBeGreaterThan(5000);
  });

  it.concurrent('does not play with another key', { timeout: PLAY_MS }, async () => {
    const { error } = await play(await makeClip(folder, 'H.264 Baseline'), scheme, KEY.toReversed());
    expect(error).toMatch(/decode|DECODE/i);
  });
});
