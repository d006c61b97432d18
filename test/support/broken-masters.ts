import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ffmpeg, run } from './ffmpeg.ts';
import { masterFile } from './masters.ts';

/** A file that is not to be taken, and what is to be said of it. */
export interface BrokenMaster {
  readonly what: string;
  readonly code:
    | 'VOD_MASTER_MISSING'
    | 'VOD_MASTER_UNREADABLE'
    | 'VOD_MASTER_REFUSED'
    | 'VOD_MASTER_TOO_LARGE';
  readonly says: RegExp;
  /** Makes it in an empty folder; resolves to its path. */
  readonly make: (folder: string) => Promise<string>;
}

/** What a hostile file would like us to read. */
export const SECRET = '/etc/passwd';

async function written(folder: string, name: string, bytes: string | Uint8Array): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, bytes);
  return path;
}

/** A master with some of its bytes changed. */
async function changed(
  folder: string,
  from: Parameters<typeof masterFile>[0],
  name: string,
  change: (bytes: Buffer) => Buffer,
): Promise<string> {
  return await written(folder, name, change(await readFile(await masterFile(from))));
}

async function encoded(folder: string, name: string, args: readonly string[]): Promise<string> {
  const path = join(folder, name);
  await ffmpeg([...args, path]);
  return path;
}

const PICTURE = ['-f', 'lavfi', '-i', 'testsrc2=size=320x180:rate=25:duration=0.4'];
const X264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p'];

/** Places of all boxes of a type, by their names alone: those in test files do not occur by chance. */
function boxesOf(bytes: Buffer, type: string): number[] {
  const found: number[] = [];
  for (let at = bytes.indexOf(type); at >= 0; at = bytes.indexOf(type, at + 4)) found.push(at - 4);
  return found;
}

function box(type: string, ...parts: readonly Uint8Array[]): Buffer {
  const size = parts.reduce((sum, part) => sum + part.length, 8);
  const head = Buffer.alloc(8);
  head.writeUInt32BE(size);
  head.write(type, 4, 'latin1');
  return Buffer.concat([head, ...parts]);
}

/** The same movie with its first track there so many times; its samples are still where they were. */
function manyTracks(bytes: Buffer, count: number): Buffer {
  const [moovAt = 0] = boxesOf(bytes, 'moov');
  const [trakAt = 0] = boxesOf(bytes, 'trak');
  const moovEnd = moovAt + bytes.readUInt32BE(moovAt);
  const trak = bytes.subarray(trakAt, trakAt + bytes.readUInt32BE(trakAt));
  const copies = Array.from({ length: count }, () => trak);
  const moov = box('moov', bytes.subarray(moovAt + 8, moovEnd), ...copies);
  return Buffer.concat([bytes.subarray(0, moovAt), bytes.subarray(moovEnd), moov]);
}

/** Every sample lasts so many ticks (stts, ISO/IEC 14496-12 8.6.1.2). */
function longSamples(bytes: Buffer, ticks: number): Buffer {
  const copy = Buffer.from(bytes);
  for (const at of boxesOf(copy, 'stts')) copy.writeUInt32BE(ticks, at + 20);
  return copy;
}

/** The media itself is gone, the index is as it was. */
function withoutMedia(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  const [at = 0] = boxesOf(copy, 'mdat');
  copy.fill(0, at + 8, at + copy.readUInt32BE(at));
  return copy;
}

/** The size that every JPEG picture claims (SOF0, ITU-T T.81 B.2.2). */
function claimedSize(bytes: Buffer, width: number, height: number): Buffer {
  const copy = Buffer.from(bytes);
  const marker = Buffer.from([0xff, 0xc0, 0x00, 0x11, 0x08]);
  for (let at = copy.indexOf(marker); at >= 0; at = copy.indexOf(marker, at + 5)) {
    copy.writeUInt16BE(height, at + 5);
    copy.writeUInt16BE(width, at + 7);
  }
  for (const at of boxesOf(copy, 'jpeg')) {
    copy.writeUInt16BE(width, at + 32);
    copy.writeUInt16BE(height, at + 34);
  }
  return copy;
}

/** Bytes that mean nothing, the same each time. */
function noise(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  let state = 7;
  for (let at = 0; at < length; at++) {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    bytes[at] = state >> 16;
  }
  return bytes;
}

const PLAYLIST = `#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXT-X-KEY:METHOD=AES-128,URI="file://${SECRET}"\n#EXTINF:9,\nfile://${SECRET}\n#EXT-X-ENDLIST\n`;

export const BROKEN_MASTERS: readonly BrokenMaster[] = [
  {
    what: 'a file that is not there',
    code: 'VOD_MASTER_MISSING',
    says: /^There is no such file\.$/,
    make: (folder) => Promise.resolve(join(folder, 'gone.mp4')),
  },
  {
    what: 'an empty file',
    code: 'VOD_MASTER_UNREADABLE',
    says: /^The file is empty\.$/,
    make: (folder) => written(folder, 'empty.mp4', ''),
  },
  {
    what: 'a folder',
    code: 'VOD_MASTER_REFUSED',
    says: /^It is not a file\.$/,
    async make(folder) {
      await mkdir(join(folder, 'folder.mp4'));
      return join(folder, 'folder.mp4');
    },
  },
  {
    what: 'a symbolic link to a master',
    code: 'VOD_MASTER_REFUSED',
    says: /^It is a symbolic link\.$/,
    async make(folder) {
      await symlink(await masterFile('film'), join(folder, 'link.mp4'));
      return join(folder, 'link.mp4');
    },
  },
  {
    what: 'a named pipe that nobody writes to',
    code: 'VOD_MASTER_REFUSED',
    says: /^It is not a file\.$/,
    async make(folder) {
      await run('mkfifo', [join(folder, 'pipe.mp4')]);
      return join(folder, 'pipe.mp4');
    },
  },
  {
    what: 'text that is called a film',
    code: 'VOD_MASTER_REFUSED',
    says: /^The file is text, not media\./,
    make: (folder) => written(folder, 'text.mp4', 'Once upon a time there was no film.\n'.repeat(50)),
  },
  {
    what: 'an HLS playlist that names a file of ours',
    code: 'VOD_MASTER_REFUSED',
    says: /^The file is an HLS playlist, not media\./,
    make: (folder) => written(folder, 'playlist.mp4', PLAYLIST),
  },
  {
    what: 'a script that names a file of ours',
    code: 'VOD_MASTER_REFUSED',
    says: /^The file is a script for ffmpeg, not media\./,
    make: (folder) => written(folder, 'script.mkv', `ffconcat version 1.0\nfile ${SECRET}\n`),
  },
  {
    what: 'a description of a session elsewhere',
    code: 'VOD_MASTER_REFUSED',
    says: /^The file is an SDP description, not media\./,
    make: (folder) =>
      written(
        folder,
        'session.mov',
        'v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nc=IN IP4 127.0.0.1\r\nm=video 9 RTP/AVP 96\r\n',
      ),
  },
  {
    what: 'metadata for ffmpeg',
    code: 'VOD_MASTER_REFUSED',
    says: /^The file is metadata for ffmpeg, not media\./,
    make: (folder) => written(folder, 'metadata.mp4', ';FFMETADATA1\ntitle=x\n'),
  },
  {
    what: 'a DASH manifest',
    code: 'VOD_MASTER_REFUSED',
    says: /^The file is XML, not media\./,
    make: (folder) =>
      written(folder, 'manifest.mp4', '<?xml version="1.0"?>\n<MPD><BaseURL>file:///etc/</BaseURL></MPD>'),
  },
  {
    what: 'a picture',
    code: 'VOD_MASTER_REFUSED',
    says: /^The file is a picture\./,
    async make(folder) {
      const path = await encoded(folder, 'picture.png', [...PICTURE, '-frames:v', '1']);
      return await written(folder, 'picture.mov', await readFile(path));
    },
  },
  {
    what: 'an AVI',
    code: 'VOD_MASTER_REFUSED',
    says: /^The file is an AVI/,
    make: (folder) => encoded(folder, 'old.avi', [...PICTURE, '-c:v', 'mpeg4']),
  },
  {
    what: 'noise',
    code: 'VOD_MASTER_REFUSED',
    says: /^The file is of no kind that is known here\./,
    make: (folder) => written(folder, 'noise.mp4', noise(100_000)),
  },
  {
    what: 'noise that begins like a film',
    code: 'VOD_MASTER_UNREADABLE',
    says: /no index \(moov box\)/,
    make: (folder) =>
      written(folder, 'noise.mov', Buffer.concat([box('ftyp', Buffer.from('isom\0\0\0\0')), noise(100_000)])),
  },
  {
    what: 'a film whose index is noise',
    code: 'VOD_MASTER_UNREADABLE',
    says: /^Nothing in it can be read/,
    make: (folder) =>
      written(
        folder,
        'index.mp4',
        Buffer.concat([box('ftyp', Buffer.from('isom\0\0\0\0')), box('moov', box('trak', noise(5000)))]),
      ),
  },
  {
    what: 'a film that was cut short within its media',
    code: 'VOD_MASTER_UNREADABLE',
    says: /^The file is cut short/,
    make: (folder) => changed(folder, 'film', 'cut.mp4', (bytes) => bytes.subarray(0, bytes.length - 30_000)),
  },
  {
    what: 'a film that was cut short before its index',
    code: 'VOD_MASTER_UNREADABLE',
    says: /^The file is cut short/,
    make: (folder) => changed(folder, 'late', 'early.mp4', (bytes) => bytes.subarray(0, 20_000)),
  },
  {
    what: 'a film whose recorder never wrote the index',
    code: 'VOD_MASTER_UNREADABLE',
    says: /no index \(moov box\)/,
    make: (folder) =>
      changed(folder, 'late', 'unfinished.mp4', (bytes) => bytes.subarray(0, boxesOf(bytes, 'moov')[0])),
  },
  {
    what: 'a Matroska file that was cut short',
    code: 'VOD_MASTER_UNREADABLE',
    says: /^The file is cut short/,
    make: (folder) => changed(folder, 'hdr', 'cut.mkv', (bytes) => bytes.subarray(0, bytes.length / 2)),
  },
  {
    what: 'a film whose media are zeros',
    code: 'VOD_MASTER_UNREADABLE',
    says: /^No picture can be decoded/,
    make: (folder) => changed(folder, 'film', 'zeros.mp4', withoutMedia),
  },
  {
    what: 'a film that claims giant pictures',
    code: 'VOD_MASTER_TOO_LARGE',
    says: /^Its pictures are 65500x65500/,
    async make(folder) {
      const path = await encoded(folder, 'small.mov', [...PICTURE, '-c:v', 'mjpeg', '-pix_fmt', 'yuvj420p']);
      return await written(folder, 'giant.mov', claimedSize(await readFile(path), 65_500, 65_500));
    },
  },
  {
    what: 'a film with two thousand tracks',
    code: 'VOD_MASTER_TOO_LARGE',
    says: /^It has more than 128 streams\.$/,
    make: (folder) => changed(folder, 'late', 'tracks.mp4', (bytes) => manyTracks(bytes, 2000)),
  },
  {
    what: 'a film whose frames last for hours',
    code: 'VOD_MASTER_TOO_LARGE',
    says: /^It is \d+ s long; 43200 s are allowed\.$/,
    async make(folder) {
      const path = await encoded(folder, 'quick.mp4', [...PICTURE, ...X264, '-use_editlist', '0']);
      return await written(folder, 'slow.mp4', longSamples(await readFile(path), 0x0fff_ffff));
    },
  },
  {
    what: 'a film of a thousand pictures a second',
    code: 'VOD_MASTER_TOO_LARGE',
    says: /^It has 1000 pictures a second; 240 are allowed\.$/,
    make: (folder) =>
      encoded(folder, 'fast.mp4', [
        '-f',
        'lavfi',
        '-i',
        'testsrc2=size=64x64:rate=1000:duration=0.2',
        ...X264,
      ]),
  },
  {
    what: 'an encrypted film',
    code: 'VOD_MASTER_REFUSED',
    says: /^The pictures are encrypted\.$/,
    make: (folder) =>
      encoded(folder, 'encrypted.mp4', [
        ...[...PICTURE, ...X264, '-encryption_scheme', 'cenc-aes-ctr'],
        ...['-encryption_key', '76a6c65c5ea762046bd749a2e632ccbb'],
        ...['-encryption_kid', 'a7e61c373e219033c21091fa607bf3b8'],
      ]),
  },
  {
    what: 'pictures in a codec that nobody uses any more',
    code: 'VOD_MASTER_REFUSED',
    says: /^It has a stream in a codec that is not taken \(qtrle\)\.$/,
    make: (folder) => encoded(folder, 'animation.mov', [...PICTURE, '-c:v', 'qtrle']),
  },
  {
    what: 'subtitles and nothing else',
    code: 'VOD_MASTER_REFUSED',
    says: /^It has neither pictures nor sound/,
    async make(folder) {
      const srt = await written(folder, 'a.srt', '1\n00:00:00,000 --> 00:00:01,000\nHello\n');
      return await encoded(folder, 'words.mkv', ['-i', srt, '-c:s', 'copy']);
    },
  },
];
