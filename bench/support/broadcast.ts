import { spawn } from 'node:child_process';
import { type HeadwaterProcess, stop } from './headwater-process.ts';

/** A stream that a bench publishes and then asks for. */
export interface Broadcast {
  readonly stream: string;
  /** Path of the stream's folder on the server: `/live/<stream>/`. */
  readonly folder: string;
  close(): Promise<void>;
}

/** How long a stream may take to have two segments. */
const COME_UP_MS = 20_000;

/** Parts of five frames: with the broadcast's 2 Mb/s near 40 KB, beside segments of 500 KB. */
export const PART_SETTINGS: readonly string[] = ['--set', 'live.partMs=167'];

/** Publishes a test picture at 30 frames a second, in real time, and waits until it can be watched. */
export async function startBroadcast(server: HeadwaterProcess, kbps = 2000): Promise<Broadcast> {
  const stream = 'bench';
  const child = spawn('ffmpeg', ffmpegArgs(await server.publishUrl(stream), kbps), {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const close = (): Promise<void> => stop(child);
  const folder = `/live/${stream}/`;
  try {
    await whenPlayable(`${server.mediaUrl}${folder}video.m3u8`);
    return { stream, folder, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function ffmpegArgs(url: string, kbps: number): string[] {
  const rate = [
    '-b:v',
    `${kbps}k`,
    '-minrate',
    `${kbps}k`,
    '-maxrate',
    `${kbps}k`,
    '-bufsize',
    `${kbps / 2}k`,
  ];
  const encoder = ['-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-g', '60'];
  return [
    ...['-hide_banner', '-loglevel', 'error', '-nostdin', '-re'],
    ...['-f', 'lavfi', '-i', 'testsrc2=size=640x360:rate=30'],
    ...[...encoder, '-sc_threshold', '0', ...rate, '-x264-params', 'nal-hrd=cbr'],
    ...['-f', 'flv', url],
  ];
}

async function whenPlayable(playlistUrl: string): Promise<void> {
  const deadline = performance.now() + COME_UP_MS;
  while (performance.now() < deadline) {
    const response = await fetch(playlistUrl);
    const text = await response.text();
    if (response.ok && (text.match(/#EXTINF/g)?.length ?? 0) >= 2) return;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error('the stream did not come up');
}
