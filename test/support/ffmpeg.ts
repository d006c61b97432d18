import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** How a program ended. */
export interface ProcessResult {
  readonly code: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export interface RunOptions {
  readonly stdin?: Uint8Array | readonly Uint8Array[];
  readonly signal?: AbortSignal;
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs a program to its end with an argument array. */
export async function run(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<ProcessResult> {
  const child = spawn(command, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(options.signal && { signal: options.signal }),
    ...(options.env && { env: { ...process.env, ...options.env } }),
  });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on('data', (data: Buffer) => out.push(data));
  child.stderr.on('data', (data: Buffer) => err.push(data));
  // The program may end without reading all of its input: that is its answer, not our failure.
  child.stdin.on('error', () => {});
  const pieces = options.stdin instanceof Uint8Array ? [options.stdin] : (options.stdin ?? []);
  for (const piece of pieces) child.stdin.write(piece);
  child.stdin.end();
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout: Buffer.concat(out), stderr: Buffer.concat(err).toString('utf8') };
}

/** Runs ffmpeg, quiet but for warnings, and asserts that it succeeded. */
export async function ffmpeg(args: readonly string[], options: RunOptions = {}): Promise<ProcessResult> {
  const result = await run(
    'ffmpeg',
    ['-hide_banner', '-nostats', '-loglevel', 'warning', '-y', ...args],
    options,
  );
  if (result.code !== 0) throw new Error(`ffmpeg ended with ${result.code}: ${result.stderr}`);
  return result;
}

export interface SourceFile {
  readonly seconds: number;
  readonly size?: string;
  readonly rate?: string;
  /** Frames between key frames. */
  readonly gop?: number;
  readonly bFrames?: number;
  readonly sampleRate?: number;
  readonly video?: boolean;
  readonly audio?: boolean;
  /** Drop every seventh frame or so: a variable frame rate. */
  readonly variable?: boolean;
  /** Seconds of picture before the sound begins. */
  readonly audioAfter?: number;
}

/** Arguments that make a small H.264 + AAC test file with a moving picture and a tone. */
export function sourceArgs(file: SourceFile): string[] {
  const { seconds, size = '320x180', rate = '30', gop = 60, bFrames = 0, sampleRate = 48_000 } = file;
  const { video = true, audio = true, variable = false, audioAfter = 0 } = file;
  const inputs = [
    ...(video ? ['-f', 'lavfi', '-i', `testsrc2=size=${size}:rate=${rate}`] : []),
    ...(audioAfter > 0 ? ['-itsoffset', `${audioAfter}`] : []),
    ...(audio ? ['-f', 'lavfi', '-i', `sine=frequency=440:sample_rate=${sampleRate}`] : []),
  ];
  const x264 = ['-c:v', 'libx264', '-preset', 'veryfast', '-g', `${gop}`, '-keyint_min', `${gop}`];
  return [
    ...inputs,
    ...(video
      ? [...x264, '-sc_threshold', '0', '-bf', `${bFrames}`, '-pix_fmt', 'yuv420p', '-b:v', '600k']
      : []),
    ...(variable ? ['-vf', 'select=gt(mod(n\\,7)\\,0)+eq(mod(n\\,60)\\,0)', '-fps_mode', 'vfr'] : []),
    ...(audio ? ['-c:a', 'aac', '-b:a', '96k', '-ac', '2'] : []),
    '-t',
    `${seconds}`,
  ];
}

/** Hashes of every decoded frame of one stream (`0:v` or `0:a`), in order, without their timestamps. */
export async function frameHashes(
  input: string | readonly Uint8Array[],
  stream: '0:v' | '0:a',
): Promise<{ hashes: string[]; stderr: string }> {
  const source = typeof input === 'string' ? input : 'pipe:0';
  const result = await ffmpeg(
    ['-i', source, '-map', stream, '-fps_mode', 'passthrough', '-f', 'framemd5', 'pipe:1'],
    typeof input === 'string' ? {} : { stdin: input },
  );
  const lines = result.stdout.toString('utf8').split('\n');
  const hashes = lines
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(',').at(-1)?.trim() ?? '');
  return { hashes, stderr: result.stderr };
}
