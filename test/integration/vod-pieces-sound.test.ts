import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeAudio } from '../../src/transcode/vod/encode-audio.ts';
import { ffmpeg } from '../support/ffmpeg.ts';
import {
  attempt,
  encodeAll,
  joinStretches,
  joinTitle,
  PAL,
  probeVideo,
  readSamples,
  SMALL_RUNG,
  STEREO,
  storedStretches,
  titleWork,
  workDeps,
} from '../support/vod-pieces-fixture.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vod-sound-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** A white picture and a beep at every full second; the pictures begin at one time and the sound at another. */
async function flashes(name: string, from: Beginnings, args: readonly string[]): Promise<string> {
  const path = join(folder, name);
  const flash = `drawbox=color=white:t=fill:enable='lt(mod(t+0.001,1),0.04)'`;
  const beep = `aevalsrc='0.8*sin(2*PI*1000*t)*lt(mod(t,1),0.05)':s=44100`;
  // One input: each of its own would be moved to begin at 0.
  const both = [
    `color=black:size=320x180:rate=25,${flash},trim=start=${from.picture}:end=7[out0]`,
    `${beep},atrim=start=${from.sound}:end=6.9[out1]`,
  ];
  await ffmpeg([
    ...['-f', 'lavfi', '-i', both.join(';'), '-fps_mode', 'passthrough'],
    ...['-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p', '-bf', '2'],
    ...['-c:a', 'aac', '-b:a', '128k', ...args, path],
  ]);
  return path;
}

interface Beginnings {
  readonly picture: number;
  readonly sound: number;
}

/** When the sound sets in, seconds; at most once in half a second. */
function onsets(pcm: Buffer, sampleRate: number): number[] {
  const found: number[] = [];
  for (let at = 0; at * 2 < pcm.length - 1; at++) {
    if (Math.abs(pcm.readInt16LE(at * 2)) < 6000) continue;
    const seconds = at / sampleRate;
    if (seconds - (found.at(-1) ?? -1) > 0.5) found.push(seconds);
  }
  return found;
}

async function whitePictures(file: Uint8Array): Promise<{ readonly frames: number; readonly at: number[] }> {
  const { stdout } = await ffmpeg(
    ['-i', 'pipe:0', '-vf', 'scale=1:1', '-pix_fmt', 'gray', '-f', 'rawvideo', 'pipe:1'],
    { stdin: file },
  );
  const at = [...stdout].flatMap((luma, frame) => (luma > 128 ? [frame / 25] : []));
  return { frames: stdout.length, at };
}

async function listen(file: Uint8Array): Promise<Buffer> {
  const pcm = await ffmpeg(['-i', 'pipe:0', '-ac', '1', '-f', 's16le', 'pipe:1'], { stdin: file });
  expect(pcm.stderr).toBe('');
  return pcm.stdout;
}

describe('sound of a title', () => {
  it.each([
    { name: 'that begins with the picture', file: '1.mp4', demuxer: 'mov', picture: 0, sound: 0, args: [] },
    { name: 'that begins later', file: '2.mkv', demuxer: 'matroska', picture: 0, sound: 0.4, args: [] },
    { name: 'that begins sooner', file: '3.mp4', demuxer: 'mov', picture: 0.48, sound: 0, args: [] },
    {
      ...{ name: 'of a transport stream', file: '4.m2ts', demuxer: 'mpegts', picture: 0.2, sound: 0 },
      args: ['-f', 'mpegts'],
    },
  ])('$name is where the picture is, and ends with it', async ({ file, demuxer, picture, sound, args }) => {
    const path = await flashes(file, { picture, sound }, args);
    const { start_time: start } = await probeVideo(path);
    const frames = Math.round((7 - picture) * 25);
    const times = { frames, startMs: Number(start) * 1000 };
    const work = titleWork({ path, demuxer, rate: PAL, ...times, rungs: [SMALL_RUNG], audios: [STEREO] });
    const deps = await workDeps(folder);

    const made = await encodeAll(work, deps);
    const white = await whitePictures(joinTitle(deps.store, made, SMALL_RUNG.id));
    expect(white.frames).toBe(frames);

    const told: number[] = [];
    const result = await encodeAudio(
      { work, id: STEREO.id },
      attempt({ progress: (share) => told.push(share) }),
      deps,
    );
    expect(result.stretches).toBe(work.plan.video.pieces);
    expect(told).toHaveLength(result.stretches);
    const stretches = storedStretches(deps.store, result);
    const ends = stretches.map((stretch) => readSamples(stretch).samples.at(-1)?.pts ?? 0);
    expect(ends).toEqual([...ends].sort((a, b) => a - b));

    const heard = joinStretches(stretches);
    const { samples } = readSamples(heard);
    expect(samples[0]?.pts).toBe(0);
    const endTicks = (samples.at(-1)?.pts ?? 0) + 1024;
    expect(Math.abs(endTicks / 48_000 - frames / 25)).toBeLessThan(1024 / 48_000);
    const beeps = onsets(await listen(heard), 48_000);
    expect(beeps.length).toBeGreaterThanOrEqual(6);
    for (const at of beeps) {
      const distances = white.at.map((flash) => Math.abs(flash - at));
      // The very first frame of sound is faded in: what it overlaps with is the priming that was taken off.
      expect(Math.min(...distances)).toBeLessThan(at < 0.03 ? 0.02 : 0.005);
    }
  });

  it('is the same in every attempt, and comes stretch by stretch', async () => {
    const path = await flashes('same.mp4', { picture: 0, sound: 0 }, []);
    const work = titleWork({ path, demuxer: 'mov', rate: PAL, frames: 175, audios: [STEREO] });
    const deps = await workDeps(folder);
    const results = [];
    for (const number of [1, 2]) {
      results.push(await encodeAudio({ work, id: STEREO.id }, attempt({ number }), deps));
    }
    const [first = [], second = []] = results.map((result) => storedStretches(deps.store, result));
    expect(first.length).toBeGreaterThan(2);
    expect(first.map((bytes) => Buffer.from(bytes).toString('hex'))).toEqual(
      second.map((bytes) => Buffer.from(bytes).toString('hex')),
    );
  });

  it('with holes in it stays where the picture is', async () => {
    const path = join(folder, 'holes.mkv');
    // Nothing is there around the second, third and fifth beep.
    const beep = `aevalsrc='0.8*sin(2*PI*1000*t)*lt(mod(t,1),0.05)':s=48000:d=7`;
    await ffmpeg([
      ...['-f', 'lavfi', '-i', 'color=black:size=320x180:rate=25:d=7'],
      ...['-f', 'lavfi', '-i', `${beep},aselect='not(between(t,1.9,3.2)+between(t,4.5,5.2))'`],
      ...['-c:v', 'libx264', '-preset', 'ultrafast', '-c:a', 'pcm_s16le', path],
    ]);
    const work = titleWork({ path, demuxer: 'matroska', rate: PAL, frames: 175, audios: [STEREO] });
    const deps = await workDeps(folder);
    const result = await encodeAudio({ work, id: STEREO.id }, attempt(), deps);
    const heard = joinStretches(storedStretches(deps.store, result));
    const beeps = onsets(await listen(heard), 48_000).map((at) => Math.round(at * 20) / 20);
    expect(beeps).toEqual([0, 1, 4, 6]);
  });

  it('of 5.1 is carried as it is, and brought down to two channels', async () => {
    const path = join(folder, 'surround.mkv');
    await ffmpeg([
      ...['-f', 'lavfi', '-i', 'color=black:size=320x180:rate=25:d=4'],
      ...['-f', 'lavfi', '-i', 'sine=1000:duration=4:sample_rate=48000,pan=5.1|FC=c0'],
      ...['-c:v', 'libx264', '-preset', 'ultrafast', '-c:a', 'ac3', '-b:a', '384k', path],
    ]);
    const surround = { ...STEREO, id: 'audio-en-surround', codec: 'copy', channels: 6 } as const;
    const audios = [STEREO, surround];
    const work = titleWork({ path, demuxer: 'matroska', rate: PAL, frames: 100, audios });
    const deps = await workDeps(folder);
    const [two, six] = [
      await encodeAudio({ work, id: STEREO.id }, attempt(), deps),
      await encodeAudio({ work, id: surround.id }, attempt(), deps),
    ];
    const carried = readSamples(joinStretches(storedStretches(deps.store, six)));
    expect(carried.track.entry).toBe('ac-3');
    const source = await ffmpeg(['-i', path, '-map', '0:a', '-c', 'copy', '-f', 'ac3', 'pipe:1']);
    const bytes = Buffer.concat(carried.samples.map(({ data }) => data));
    // What begins behind the last picture is left out.
    expect(source.stdout.subarray(0, bytes.length).equals(bytes)).toBe(true);
    expect(bytes.length).toBeGreaterThan(0.97 * source.stdout.length);
    // The middle, at its share of each side: 3 dB less.
    const heard = await ffmpeg(['-i', 'pipe:0', '-ac', '2', '-f', 's16le', 'pipe:1'], {
      stdin: joinStretches(storedStretches(deps.store, two)),
    });
    const peak = new Int16Array(heard.stdout.buffer, heard.stdout.byteOffset + 96_000, 96_000).reduce(
      (most, sample) => Math.max(most, Math.abs(sample)),
      0,
    );
    expect(20 * Math.log10(peak / (32_768 / 8))).toBeCloseTo(-3, 0);
  });
});
