import { choice, flag, integer, text, words } from './field.ts';
import type { Section } from './schema.ts';
import { vodLadder } from './vod-rungs.ts';

const GIB = 1024 ** 3;

/** Configuration of titles: what masters are taken, and what is made of them. */
export const vodSection = {
  vod: {
    roots: text(
      '',
      'Folders that masters may be taken from by their path, with commas between them; links out of them are not followed. Empty: none, so that masters can only be uploaded. Relative to the working directory.',
      { optional: true },
    ),
    ladder: vodLadder(
      'standard',
      "Pictures that titles are made in: `standard` (2160p 1440p 1080p 720p 480p 360p), `full` (540p and 240p too), `small` (720p 360p), each with the master's own size on top and nothing above it; or a list of shorter sides, with a codec and a highest bit rate where wanted: `1080p,720p:2500k,720p-hevc`.",
    ),
    codecs: words(
      ['h264', 'hevc', 'av1'],
      'h264',
      'Codecs that every picture is made in. H.264 plays everywhere; HEVC and AV1 take a third to a half less for the same quality, and far longer to encode.',
    ),
    effort: choice(
      ['low', 'medium', 'high'],
      'medium',
      'How much time encoding may take to save bits at the same quality.',
    ),
    contentAware: flag(
      false,
      'Whether the bit rates of a ladder by name are fitted to each title: a quick look at its pictures before the first piece tells how few bits do, by VMAF where ffmpeg has libvmaf, else by SSIM.',
    ),
    segmentMs: integer(4000, { min: 1000, max: 10_000 }, 'Length of a segment of a title.'),
    pieceSeconds: integer(
      12,
      { min: 10, max: 30 },
      'About how much of a title is encoded as one job: what a worker that dies loses, and what can be done at the same time.',
    ),
    surround: choice(
      ['copy', 'encode', 'none'],
      'copy',
      'What is made of surround sound besides stereo: it is carried as it is where it can be (AAC, AC-3, E-AC-3), always there (`encode`: AAC 5.1 where not), or left out.',
    ),
    thumbnails: flag(true, 'Whether small pictures for the seek bar are made.'),
    sidecars: flag(
      true,
      'Whether subtitles beside a master that are called like it (`film.en.srt`, `.vtt`, `.ttml`) belong to it.',
    ),
    queue: choice(
      ['embedded', 'redis'],
      'embedded',
      'Where the work on titles is kept: `embedded` in a file of the data folder, for one server; `redis` (with state.driver: redis) for several, which take jobs from each other and go on with what one that died had begun. They need the same storage, the same folders of masters and uploads, and the same content keys.',
    ),
    uploadsPath: text(
      '',
      'Folder of masters that are uploaded. Empty: `uploads` in the data folder. Relative to the working directory.',
      { optional: true },
    ),
    slots: integer(
      0,
      { min: 0, max: 256 },
      'Jobs of titles that this server works on at once, beside live streams, for which it steps back. 0: one for every core.',
    ),
    work: flag(
      true,
      'Whether this server works on titles itself. false (with vod.queue: redis): it takes masters, puts titles together and serves them, and `headwater worker` on other machines does the encoding.',
    ),
    ffprobe: text('ffprobe', 'The program masters are looked at with: a name looked up in PATH, or a path.'),
    probeTimeoutMs: integer(
      60_000,
      { min: 1000, max: 600_000 },
      'Time one look at a master may take; one that takes longer is refused as damaged.',
    ),
    maxMasterBytes: integer(
      512 * GIB,
      { min: 1024, max: 16_384 * GIB },
      'Size of a master above which it is refused.',
    ),
    maxDurationHours: integer(12, { min: 1, max: 240 }, 'Length of a master above which it is refused.'),
    maxPixels: integer(
      8192 * 4320,
      { min: 16 * 16, max: 8192 * 4320 },
      'Pixels of one picture above which a master is refused.',
    ),
    maxFrameRate: integer(
      240,
      { min: 1, max: 1000 },
      'Pictures a second above which a master is refused; more than 60 are not encoded.',
    ),
    maxStreams: integer(
      128,
      { min: 1, max: 128 },
      'Streams in a master, attachments counted, above which it is refused.',
    ),
  },
} satisfies Section;
