import { createHash } from 'node:crypto';
import { mkdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ffmpeg, run } from './ffmpeg.ts';

/** Length of the masters' pictures, seconds, where nothing else is said. */
export const MASTER_SECONDS = 2;

/** A file as somebody may hand it in: how it is made, and by what. */
interface Recipe {
  readonly file: string;
  /** One or several commands of ffmpeg, or one pipeline of GStreamer; `OUT` stands for the file, `FOLDER` for its folder. */
  readonly ffmpeg?: readonly (readonly string[])[];
  readonly gstreamer?: string;
  /** Files that are there first, by name. */
  readonly beside?: Readonly<Record<string, string | Uint8Array>>;
}

const T = `${MASTER_SECONDS}`;

function picture(rate: string, size = '320x180'): string[] {
  return ['-f', 'lavfi', '-i', `testsrc2=size=${size}:rate=${rate}:duration=${T}`];
}

function tone(hertz: number, rate = 48_000, seconds = T): string[] {
  return ['-f', 'lavfi', '-i', `sine=frequency=${hertz}:sample_rate=${rate}:duration=${seconds}`];
}

/** Six channels, each with a tone of its own. */
function surround(): string[] {
  const tones = [220, 330, 440, 60, 550, 660].map((hertz) => `sin(${hertz}*2*PI*t)/8`).join('|');
  return ['-f', 'lavfi', '-i', `aevalsrc=exprs=${tones}:channel_layout=5.1:sample_rate=48000:duration=${T}`];
}

const X264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p', '-g', '50'];
/** With B-frames, which come in another order than they are shown. */
const X264_B = ['-c:v', 'libx264', '-preset', 'veryfast', '-bf', '3', '-pix_fmt', 'yuv420p', '-g', '50'];

const SRT = `1
00:00:00,200 --> 00:00:00,900
<i>Rain</i> is coming.

2
00:00:01,000 --> 00:00:01,800
Shut the windows!
- At once.
`;

const ASS = `[Script Info]
ScriptType: v4.00+
PlayResX: 320
PlayResY: 180

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&H00FFFFFF,&H000000FF,&H00000000,&H00000000,0,0,0,0,100,100,0,0,1,2,0,2,10,10,10,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:00.20,0:00:00.90,Default,,0,0,0,,{\\i1}Regen{\\i0} kommt.
Dialogue: 0,0:00:01.00,0:00:01.80,Default,,0,0,0,,{\\pos(10,10)}Fenster zu!\\NSofort.
Dialogue: 0,0:00:01.00,0:00:01.80,Default,,0,0,0,,{\\p1}m 0 0 l 100 0 100 100{\\p0}
`;

const VTT = `WEBVTT

NOTE made by hand

00:00.200 --> 00:00.900 line:0 align:left
<v Anna>La <b>pluie</b> arrive.
`;

const TTML = `<?xml version="1.0" encoding="UTF-8"?>
<tt xmlns="http://www.w3.org/ns/ttml" xmlns:tts="http://www.w3.org/ns/ttml#styling" xml:lang="es">
  <body><div>
    <p begin="0.2s" end="00:00:00.900">Viene <span tts:fontStyle="italic">la lluvia</span>.</p>
    <p begin="1s" dur="800ms">¡Cierren<br/>las ventanas!</p>
  </div></body>
</tt>
`;

/** By name. */
const RECIPES = {
  /** Film rate, two languages, subtitles of the container, chapters, B-frames, index first. */
  film: {
    file: 'film.mp4',
    beside: {
      'en.srt': SRT,
      'chapters.txt':
        ';FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1000\ntitle=Dawn\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=1000\nEND=2000\ntitle=Noon\n',
    },
    ffmpeg: [
      [
        ...picture('24000/1001'),
        ...tone(440),
        ...tone(660),
        ...['-i', 'FOLDER/en.srt', '-f', 'ffmetadata', '-i', 'FOLDER/chapters.txt'],
        ...['-map', '0', '-map', '1', '-map', '2', '-map', '3', '-map_chapters', '4', ...X264_B],
        ...['-c:a', 'aac', '-c:s', 'mov_text', '-metadata:s:a:0', 'language=eng'],
        ...['-metadata:s:a:1', 'language=ger', '-metadata:s:s:0', 'language=eng'],
        ...['-disposition:a:0', '0', '-disposition:a:1', 'default', '-movflags', '+faststart', 'OUT'],
      ],
    ],
  },
  /** Held upright by a telephone: the sensor's picture lies on its side. */
  phone: {
    file: 'phone.mov',
    ffmpeg: [
      [...picture('30000/1001'), ...tone(440, 44_100), ...X264, '-c:a', 'aac', 'FOLDER/flat.mov'],
      ['-i', 'FOLDER/flat.mov', '-c', 'copy', '-metadata:s:v', 'rotate=90', 'OUT'],
    ],
  },
  /** A telephone's clock: pictures some milliseconds early or late. */
  freeClock: {
    file: 'free-clock.mkv',
    ffmpeg: [
      [
        ...picture('30'),
        ...['-vf', 'settb=1/1000,setpts=N*1000/30.02+4*sin(N*1.7)+4', '-fps_mode', 'passthrough'],
        ...['-enc_time_base', '1/1000', ...X264, 'OUT'],
      ],
    ],
  },
  /** A recorded screen: pictures only when something changes. */
  screen: {
    file: 'screen.mp4',
    ffmpeg: [
      [
        ...picture('60'),
        ...[
          '-vf',
          'select=not(mod(n\\,7))+not(mod(n\\,5))+between(n\\,40\\,60)',
          '-fps_mode',
          'vfr',
          ...X264_B,
          'OUT',
        ],
      ],
    ],
  },
  /** 4:2:2, ten bits, every frame a key frame, uncompressed sound in six channels. */
  prores: {
    file: 'prores.mov',
    ffmpeg: [
      [
        ...picture('25'),
        ...surround(),
        ...['-c:v', 'prores_ks', '-profile:v', '2', '-pix_fmt', 'yuv422p10le', '-c:a', 'pcm_s24le', 'OUT'],
      ],
    ],
  },
  /** HDR10, Dolby Digital Plus, subtitles of two kinds. */
  hdr: {
    file: 'hdr.mkv',
    beside: { 'en.srt': SRT, 'de.ass': ASS },
    ffmpeg: [
      [
        ...[...picture('24'), ...surround(), '-i', 'FOLDER/en.srt', '-i', 'FOLDER/de.ass'],
        ...['-map', '0', '-map', '1', '-map', '2', '-map', '3', '-pix_fmt', 'yuv420p10le', '-c:v', 'libx265'],
        ...['-preset', 'ultrafast', '-color_primaries', 'bt2020', '-color_trc', 'smpte2084'],
        ...['-colorspace', 'bt2020nc', '-x265-params'],
        'log-level=none:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:hdr10=1:max-cll=1000,400:master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)',
        ...['-c:a', 'eac3', '-b:a', '384k', '-c:s', 'copy', '-metadata:s:a:0', 'language=eng'],
        ...['-metadata:s:a:0', 'title=Original', '-metadata:s:s:0', 'language=eng'],
        ...['-metadata:s:s:1', 'language=deu', '-disposition:s:1', 'default+forced', 'OUT'],
      ],
    ],
  },
  /** As received: 576 lines interlaced, anamorphic, MPEG-2, sound that begins before the pictures, a clock that runs. */
  broadcast: {
    file: 'broadcast.m2t',
    ffmpeg: [
      [
        ...['-itsoffset', '0.5', '-f', 'lavfi', '-i', `testsrc2=size=360x288:rate=50:duration=${T}`],
        ...tone(440),
        ...[
          '-filter_complex',
          '[0:v]tinterlace=interleave_top,fieldorder=tff,setsar=64/45[v]',
          '-map',
          '[v]',
          '-map',
          '1',
        ],
        ...['-c:v', 'mpeg2video', '-flags', '+ilme+ildct', '-top', '1', '-b:v', '1M', '-g', '12', '-bf', '2'],
        ...['-c:a', 'mp2', '-b:a', '192k', '-metadata:s:a:0', 'language=fre', '-muxdelay', '0'],
        ...['-output_ts_offset', '36000', '-f', 'mpegts', 'OUT'],
      ],
    ],
  },
  /** H.264 in fields, as cameras make it. */
  camera: {
    file: 'camera.mp4',
    ffmpeg: [
      [
        ...['-f', 'lavfi', '-i', `testsrc2=size=320x192:rate=60000/1001:duration=${T}`],
        ...[
          '-vf',
          'tinterlace=interleave_top',
          '-flags',
          '+ilme+ildct',
          '-x264-params',
          'tff=1',
          ...X264,
          'OUT',
        ],
      ],
    ],
  },
  /** For archives of broadcasters. */
  archive: {
    file: 'archive.mxf',
    ffmpeg: [
      [
        ...picture('25'),
        ...tone(440),
        '-c:v',
        'mpeg2video',
        '-b:v',
        '2M',
        '-bf',
        '2',
        '-c:a',
        'pcm_s16le',
        'OUT',
      ],
    ],
  },
  /** Pictures that begin half a second after the sound, both by an edit list. */
  late: {
    file: 'late.mp4',
    ffmpeg: [
      [
        ...['-itsoffset', '0.52', ...picture('25'), ...tone(440, 48_000, '2.5')],
        ...[...X264_B, '-fps_mode', 'passthrough', '-c:a', 'aac', 'OUT'],
      ],
    ],
  },
  /** As a live packager leaves it. */
  fragmented: {
    file: 'fragmented.mp4',
    ffmpeg: [
      [
        ...[...picture('50'), ...tone(440), ...X264_B, '-c:a', 'aac', '-metadata:s:a:0', 'language=pol'],
        ...['-movflags', '+frag_keyframe+empty_moov+default_base_moof', 'OUT'],
      ],
    ],
  },
  /** Sound alone, with a cover and chapters. */
  song: {
    file: 'song.m4a',
    ffmpeg: [
      ['-f', 'lavfi', '-i', 'color=red:size=64x64:rate=1', '-frames:v', '1', 'FOLDER/cover.png'],
      [
        ...[
          ...tone(440, 44_100),
          '-i',
          'FOLDER/cover.png',
          '-map',
          '0',
          '-map',
          '1',
          '-c:a',
          'aac',
          '-c:v',
          'copy',
        ],
        ...['-disposition:v', 'attached_pic', 'OUT'],
      ],
    ],
  },
  /** Subtitles in files of their own, in the encodings they come in. */
  sidecars: {
    file: 'show.mp4',
    beside: {
      'show.srt': Buffer.from(`\uFEFF${SRT.replaceAll('\n', '\r\n')}`),
      'show.de.srt': Buffer.from(
        '1\r\n00:00:00,200 --> 00:00:00,900\r\nGr\u00fc\u00dfe aus K\u00f6ln\r\n',
        'latin1',
      ),
      'show.fr.forced.vtt': VTT,
      'show.es.sdh.ttml': TTML,
      'other.it.srt': SRT,
      'show.txt': 'no subtitles',
    },
    ffmpeg: [[...picture('25'), ...tone(440), ...X264, '-c:a', 'aac', 'OUT']],
  },
  gstMatroska: {
    file: 'gst.mkv',
    gstreamer:
      'matroskamux name=mux ! filesink location=OUT ' +
      'videotestsrc num-buffers=60 pattern=ball ! video/x-raw,format=I420,width=320,height=180,framerate=30000/1001 ! x264enc bframes=2 key-int-max=30 speed-preset=ultrafast rc-lookahead=5 ! h264parse ! queue ! mux. ' +
      'audiotestsrc num-buffers=94 samplesperbuffer=1024 ! audio/x-raw,rate=48000,channels=2 ! taginject tags=language-code=sv ! opusenc ! queue ! mux. ' +
      'audiotestsrc num-buffers=94 samplesperbuffer=1024 wave=square ! audio/x-raw,rate=48000,channels=2 ! taginject tags=language-code=fi ! flacenc ! queue ! mux.',
  },
  gstWebm: {
    file: 'gst.webm',
    gstreamer:
      'webmmux name=mux ! filesink location=OUT ' +
      'videotestsrc num-buffers=50 pattern=ball ! video/x-raw,format=I420,width=320,height=180,framerate=25/1 ! vp9enc deadline=1 cpu-used=8 ! queue ! mux. ' +
      'audiotestsrc num-buffers=94 samplesperbuffer=1024 ! audio/x-raw,rate=48000,channels=2 ! opusenc ! queue ! mux.',
  },
  gstQuicktime: {
    file: 'gst.mov',
    gstreamer:
      'qtmux name=mux ! filesink location=OUT ' +
      'videotestsrc num-buffers=96 pattern=ball ! video/x-raw,format=I420,width=320,height=180,framerate=48/1 ! x264enc bframes=0 speed-preset=ultrafast ! h264parse ! queue ! mux. ' +
      'audiotestsrc num-buffers=94 samplesperbuffer=1024 ! audio/x-raw,rate=44100,channels=2 ! voaacenc ! aacparse ! queue ! mux.',
  },
  gstTransport: {
    file: 'gst.m2t',
    gstreamer:
      'mpegtsmux name=mux ! filesink location=OUT ' +
      'videotestsrc num-buffers=50 pattern=ball ! video/x-raw,format=I420,width=320,height=180,framerate=25/1 ! x264enc bframes=2 key-int-max=25 speed-preset=ultrafast rc-lookahead=5 ! h264parse ! queue ! mux. ' +
      'audiotestsrc num-buffers=94 samplesperbuffer=1024 ! audio/x-raw,rate=48000,channels=2 ! voaacenc ! aacparse ! queue ! mux.',
  },
} as const satisfies Record<string, Recipe>;

export type MasterName = keyof typeof RECIPES;

/** Names of all masters there are. */
export const MASTER_NAMES = Object.keys(RECIPES) as MasterName[];

/**
 * The path of a master: made once a machine, in a folder of its own among the temporary ones, whose name says what is
 * in it; several test files may ask at once.
 */
export async function masterFile(name: MasterName): Promise<string> {
  const recipe: Recipe = RECIPES[name];
  const hash = createHash('sha256').update(JSON.stringify(recipe)).digest('hex').slice(0, 12);
  const folder = join(tmpdir(), 'headwater-masters', `${name}-${hash}`);
  const path = join(folder, recipe.file);
  if (await exists(path)) return path;
  const making = `${folder}.${process.pid}.${Math.random().toString(36).slice(2)}`;
  await mkdir(making, { recursive: true });
  await make(recipe, making);
  // Whoever is first has made it.
  await rename(making, folder).catch(() => rm(making, { recursive: true }));
  return path;
}

async function make(recipe: Recipe, folder: string): Promise<void> {
  for (const [name, content] of Object.entries(recipe.beside ?? {}))
    await writeFile(join(folder, name), content);
  const out = join(folder, recipe.file);
  const placed = (word: string): string => word.replace('OUT', out).replace('FOLDER', folder);
  for (const command of recipe.ffmpeg ?? []) await ffmpeg(command.map(placed));
  if (recipe.gstreamer === undefined) return;
  const result = await run('gst-launch-1.0', ['-q', '-e', ...recipe.gstreamer.split(/ +/).map(placed)]);
  if (result.code !== 0) throw new Error(`gst-launch-1.0 ended with ${result.code}: ${result.stderr}`);
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}
