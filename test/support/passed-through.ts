import { ffmpeg, run } from './ffmpeg.ts';
import { get, getText, listMedia } from './live-client.ts';

/** Everything a rendition of a stream lists, its initialization segments first, as one CMAF byte stream. */
export async function downloadRendition(
  mediaUrl: string,
  stream: string,
  rendition: string,
): Promise<Buffer[]> {
  const base = `${mediaUrl}/live/${stream}/`;
  const listed = listMedia(await getText(`${base}${rendition}.m3u8`));
  return Promise.all([...listed.maps, ...listed.segments].map((uri) => get(base + uri)));
}

/** SHA-256 of the payload of every packet of one track, in order, as ffprobe takes the file or byte stream apart. */
export async function payloadHashes(
  input: string | readonly Uint8Array[],
  track: 'v:0' | 'v:1' | 'v:2' | 'a:0',
): Promise<string[]> {
  const wanted = ['-select_streams', track, '-show_entries', 'packet=data_hash', '-show_data_hash', 'SHA256'];
  const from = typeof input === 'string' ? input : 'pipe:0';
  const { code, stdout, stderr } = await run(
    'ffprobe',
    ['-v', 'error', ...wanted, '-of', 'csv=p=0', from],
    typeof input === 'string' ? {} : { stdin: input },
  );
  if (code !== 0) throw new Error(`ffprobe ended with ${code}: ${stderr}`);
  return [...stdout.toString().matchAll(/SHA256:([0-9a-f]{64})/g)].map(([, hash]) => hash ?? '');
}

/**
 * SHA-256 of every slice of an H.264 track, in order, whatever carries them: Annex B or length-prefixed, with parameter
 * sets, delimiters and remarks between them or without.
 */
export function sliceHashes(input: string | readonly Uint8Array[]): Promise<string[]> {
  return bareHashes(input, '0:v:0', 'h264_mp4toannexb,filter_units=pass_types=1-5');
}

/** SHA-256 of every AAC frame, in order, without the header that ADTS puts before each. */
export function aacHashes(input: string | readonly Uint8Array[]): Promise<string[]> {
  return bareHashes(input, '0:a:0', 'aac_adtstoasc');
}

/**
 * How many of the packets that were sent are missing before and after those that were received.
 * @throws Error when what was received is not one run of them
 */
export function missingAtEnds(
  received: readonly string[],
  sent: readonly string[],
): { readonly head: number; readonly tail: number } {
  const [first = ''] = received;
  const head = sent.indexOf(first);
  const odd = received.findIndex((hash, index) => hash !== sent[head + index]);
  if (head < 0) throw new Error(`the first of ${received.length} packets is none of those that were sent`);
  if (odd >= 0) throw new Error(`packet ${odd} of ${received.length} is not the one that follows`);
  return { head, tail: sent.length - head - received.length };
}

async function bareHashes(
  input: string | readonly Uint8Array[],
  track: string,
  filters: string,
): Promise<string[]> {
  const from = typeof input === 'string' ? input : 'pipe:0';
  const filtered = ['-map', track, '-c', 'copy', '-bsf', filters];
  const { stdout } = await ffmpeg(
    ['-i', from, ...filtered, '-f', 'framehash', '-hash', 'SHA256', 'pipe:1'],
    typeof input === 'string' ? {} : { stdin: input },
  );
  const lines = stdout.toString().split('\n');
  const packets = lines.filter((line) => line !== '' && !line.startsWith('#'));
  return packets.map((line) => line.split(',')[5]?.trim() ?? '');
}
