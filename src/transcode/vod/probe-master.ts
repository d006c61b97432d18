import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { AppError } from '../../base/errors.ts';
import { identifyContainer } from './master-container.ts';
import type { Samples } from './master-frame-rate.ts';
import { MASTER_DESCRIPTOR, type MasterDemuxer, masterInputArguments } from './master-input.ts';
import { describeAudio, describeChapters, describeText, sortStreams } from './master-tracks.ts';
import { checkPictureSize, describeVideo, milliseconds } from './master-video.ts';
import { type RunTool, tellingLine, type ToolOutcome } from './probe-process.ts';
import {
  FRAME_ENTRIES,
  PACKET_ENTRIES,
  type ProbedFrame,
  type ProbedPacket,
  type ProbedStream,
  type ProbeReport,
  readFrames,
  readPackets,
  readReport,
  REPORT_ENTRIES,
} from './probe-report.ts';
import { findSidecars } from './text-sidecars.ts';
import type { Master, MasterVideo } from './title-plan.ts';

/** What is taken of a master, and how long it may be looked at. */
export interface MasterLimits {
  readonly maxBytes: number;
  readonly maxDurationMs: number;
  /** Of one picture. */
  readonly maxPixels: number;
  readonly maxFrameRate: number;
  /** Streams of any kind in the file, attachments counted. */
  readonly maxStreams: number;
  /** For each of the few looks that are taken. */
  readonly timeoutMs: number;
}

export const DEFAULT_MASTER_LIMITS: MasterLimits = {
  maxBytes: 512 * 1024 ** 3,
  maxDurationMs: 12 * 3_600_000,
  maxPixels: 8192 * 4320,
  maxFrameRate: 240,
  maxStreams: 128,
  timeoutMs: 60_000,
};

export interface ProbeDeps {
  readonly run: RunTool;
  readonly limits: MasterLimits;
  /** The program: a name looked up in PATH, or a path. */
  readonly ffprobe: string;
  /** Whether files of subtitles that lie beside the master and are called like it belong to it. */
  readonly sidecars: boolean;
  /** Files up to this size are read whole, so that nothing about their times is a guess; undefined: 128 MiB. */
  readonly wholeBytes?: number | undefined;
}

const WHOLE_BYTES = 128 * 1024 * 1024;
/** Packets read at each of several places of a larger one. */
const SAMPLE_PACKETS = 300;
const SAMPLE_PLACES = [0.2, 0.4, 0.6, 0.8];
/** From so long before the end that the container claims, everything is read: that is where the end really is. */
const TAIL_SECONDS = 10;
/** Pictures decoded. */
const DECODED_PICTURES = 12;
/** Until a key frame is found, at most so many packets are skipped. */
const MAX_SKIPPED = 600;
const REPORT_BYTES = 4 * 1024 * 1024;
const PACKETS_BYTES = 48 * 1024 * 1024;
/** How far ffprobe looks for streams that begin late. */
const ANALYSE_MICROSECONDS = '10000000';
const ANALYSE_BYTES = '20000000';

/**
 * Looks at a master: what it is, whether it is whole, and what is in it. Nothing of it is believed that can be seen:
 * times are those of its packets, and a few pictures are decoded. The file is opened once, by us; a symbolic link is
 * not followed: the caller resolves `path`, and decides whether it may be read.
 * @throws AppError VOD_MASTER_MISSING, VOD_MASTER_UNREADABLE, VOD_MASTER_REFUSED, VOD_MASTER_TOO_LARGE with one sentence
 * for people and no path in it; TOOL_MISSING. The reason of `signal` once it fires.
 */
export async function probeMaster(
  path: string,
  deps: ProbeDeps,
  signal: AbortSignal = new AbortController().signal,
): Promise<Master> {
  const file = await openMaster(path);
  try {
    const master = await new MasterProbe(file, deps, signal).look();
    if (!deps.sidecars) return master;
    const beside = await findSidecars(path);
    return {
      ...master,
      texts: [...master.texts, ...beside.texts],
      leftOut: [...(master.leftOut ?? []), ...beside.leftOut],
    };
  } finally {
    await file.close();
  }
}

/** Without following a link, and without waiting for the other end of a pipe. */
async function openMaster(path: string): Promise<FileHandle> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ELOOP') throw refused('It is a symbolic link.', error);
    if (code === 'ENXIO') throw refused('It is not a file.', error);
    if (code === 'EACCES') throw unreadable('The file may not be read by this server.', error);
    throw new AppError('VOD_MASTER_MISSING', 'There is no such file.', { cause: error });
  }
}

/** One look at one open file. */
class MasterProbe {
  readonly #file: FileHandle;
  readonly #deps: ProbeDeps;
  readonly #signal: AbortSignal;
  #demuxer: MasterDemuxer = 'mov';
  #sizeBytes = 0;
  /** What ffprobe complained of at first sight. */
  #said = '';

  constructor(file: FileHandle, deps: ProbeDeps, signal: AbortSignal) {
    this.#file = file;
    this.#deps = deps;
    this.#signal = signal;
  }

  async look(): Promise<Master> {
    await this.#identify();
    const report = await this.#report();
    const sorted = sortStreams(report.streams);
    const { video, audios } = sorted;
    if (sorted.undecodable !== undefined)
      throw refused(`Its pictures (${sorted.undecodable}) cannot be decoded.`);
    if (!video && audios.length === 0)
      throw refused('It has neither pictures nor sound that can be decoded.');
    const pictures = video && (await this.#pictures(video, report));
    const [firstSound] = audios;
    const sound = !pictures && firstSound ? await this.#sound(firstSound, report) : undefined;
    const durationMs = pictures?.durationMs ?? sound?.durationMs ?? 0;
    this.#checkDuration(durationMs);
    const zeroMs = pictures?.startMs ?? sound?.startMs ?? 0;
    return {
      demuxer: this.#demuxer,
      sizeBytes: this.#sizeBytes,
      durationMs,
      video: pictures,
      audios: audios.map(describeAudio),
      texts: sorted.texts.map(describeText),
      chapters: describeChapters(report.chapters, zeroMs, durationMs),
      leftOut: sorted.leftOut,
    };
  }

  /** By the file's own bytes. */
  async #identify(): Promise<void> {
    const { maxBytes } = this.#deps.limits;
    const stat = await this.#file.stat();
    if (!stat.isFile()) throw refused('It is not a file.');
    if (stat.size === 0) throw unreadable('The file is empty.');
    if (stat.size > maxBytes) throw tooLarge(`It has ${stat.size} bytes; ${maxBytes} are allowed.`);
    this.#sizeBytes = stat.size;
    const readAt = async (position: number, length: number): Promise<Uint8Array> => {
      const bytes = new Uint8Array(length);
      const { bytesRead } = await this.#file.read(bytes, 0, length, position);
      return bytes.subarray(0, bytesRead);
    };
    this.#demuxer = await identifyContainer(readAt, stat.size);
  }

  /** What the container says. */
  async #report(): Promise<ProbeReport> {
    const { code, output, said } = await this.#ffprobe(
      ['-show_entries', REPORT_ENTRIES, '-of', 'json'],
      REPORT_BYTES,
    );
    this.#said = said;
    const report = code === 0 ? readReport(output.toString('utf8')) : undefined;
    const isKnown = report?.streams.some(({ codec }) => codec !== 'unknown');
    if (!report || !isKnown) throw this.#complaint(said, 'Nothing in it can be read');
    return report;
  }

  async #pictures(video: ProbedStream, report: ProbeReport): Promise<MasterVideo> {
    const { limits } = this.#deps;
    if (!video.width || !video.height) {
      throw this.#complaint(this.#said, 'The size of its pictures is not known');
    }
    checkPictureSize(video, limits);
    // At the same time, for somebody waits; nearly every master begins with a key frame.
    const early = this.#frames(video.index, DECODED_PICTURES);
    const reading = this.#packets(video, report);
    await Promise.allSettled([early, reading]);
    const { packets, samples } = await reading;
    const firstKey = packets.findIndex(({ isKey }) => isKey);
    const skipped = firstKey < 0 ? SAMPLE_PACKETS : Math.min(firstKey, MAX_SKIPPED);
    const { frames, said } =
      skipped === 0 ? await early : await this.#frames(video.index, skipped + DECODED_PICTURES);
    const isEncrypted = packets.some((packet) => packet.isEncrypted);
    if (frames.length === 0 && !isEncrypted) throw this.#complaint(said, 'No picture can be decoded');
    return describeVideo(video, { packets, frames, samples }, limits);
  }

  /** Of a master without pictures. */
  async #sound(
    stream: ProbedStream,
    report: ProbeReport,
  ): Promise<{ readonly startMs: number; readonly durationMs: number }> {
    const { packets } = await this.#packets(stream, report);
    if (packets.some(({ isEncrypted }) => isEncrypted)) throw refused('The sound is encrypted.');
    const { frames, said } = await this.#frames(stream.index, DECODED_PICTURES);
    if (frames.length === 0) throw this.#complaint(said, 'No sound can be decoded');
    const kept = packets.filter(({ isDiscarded }) => !isDiscarded);
    const starts = kept.flatMap(({ pts, dts }) => pts ?? dts ?? []);
    const start = starts.reduce((least, time) => Math.min(least, time), Number.POSITIVE_INFINITY);
    const end = kept.reduce((most, { pts, dts, duration }) => {
      const time = pts ?? dts;
      return time === undefined ? most : Math.max(most, time + (duration ?? 0));
    }, Number.NEGATIVE_INFINITY);
    return { startMs: milliseconds(start), durationMs: Math.max(1, milliseconds(end - start)) };
  }

  /** All packets of a stream, or those of a few places and of the end. */
  async #packets(
    stream: ProbedStream,
    report: ProbeReport,
  ): Promise<{ readonly packets: readonly ProbedPacket[]; readonly samples: Samples | undefined }> {
    const start = report.start ?? 0;
    const claimed = report.duration ?? stream.duration ?? 0;
    const { wholeBytes = WHOLE_BYTES } = this.#deps;
    const isWhole = this.#sizeBytes <= wholeBytes || claimed <= TAIL_SECONDS;
    const places = SAMPLE_PLACES.map((share) => `${start + claimed * share}%+#${SAMPLE_PACKETS}`);
    const intervals = [`%+#${SAMPLE_PACKETS}`, ...places, `${start + claimed - TAIL_SECONDS}%`];
    const outcome = await this.#ffprobe(
      [
        ...['-select_streams', `${stream.index}`, '-show_entries', PACKET_ENTRIES, '-of', 'compact=p=0'],
        ...(isWhole ? [] : ['-read_intervals', intervals.join(',')]),
      ],
      PACKETS_BYTES,
    );
    const packets = readPackets(outcome.output.toString('latin1'));
    if (packets.length === 0) throw this.#complaint(outcome.said, 'It has no media in it');
    const samples = { length: SAMPLE_PACKETS, places: intervals.length - 1 };
    return { packets, samples: isWhole ? undefined : samples };
  }

  async #frames(
    index: number,
    packets: number,
  ): Promise<{ readonly frames: readonly ProbedFrame[]; readonly said: string }> {
    const { output, said } = await this.#ffprobe(
      [
        ...['-select_streams', `${index}`, '-show_entries', FRAME_ENTRIES, '-of', 'json'],
        ...['-read_intervals', `%+#${packets}`],
      ],
      REPORT_BYTES,
    );
    return { frames: readFrames(output.toString('utf8')), said };
  }

  async #ffprobe(
    args: readonly string[],
    maxOutputBytes: number,
  ): Promise<ToolOutcome & { readonly kind: 'ended' }> {
    const { run, limits, ffprobe } = this.#deps;
    const outcome = await run(
      {
        program: ffprobe,
        args: [
          ...['-hide_banner', '-v', 'error', ...args],
          ...['-analyzeduration', ANALYSE_MICROSECONDS, '-probesize', ANALYSE_BYTES],
          ...masterInputArguments(this.#demuxer, MASTER_DESCRIPTOR, limits),
        ],
        descriptor: this.#file.fd,
        timeoutMs: limits.timeoutMs,
        maxOutputBytes,
      },
      this.#signal,
    );
    if (outcome.kind === 'too-slow') {
      throw unreadable(
        `To look at it took longer than ${limits.timeoutMs} ms: it is damaged, or has no index.`,
      );
    }
    if (outcome.kind === 'too-much') throw tooLarge('It has more streams or packets than are looked at.');
    return outcome;
  }

  #checkDuration(durationMs: number): void {
    const { maxDurationMs } = this.#deps.limits;
    if (durationMs > maxDurationMs) {
      const seconds = (ms: number): number => Math.round(ms / 1000);
      throw tooLarge(`It is ${seconds(durationMs)} s long; ${seconds(maxDurationMs)} s are allowed.`);
    }
  }

  /** What ffprobe said, as our error. */
  #complaint(said: string, what: string): AppError {
    const { maxStreams, maxPixels } = this.#deps.limits;
    if (said.includes('exceeds max_streams')) return tooLarge(`It has more than ${maxStreams} streams.`);
    const [, size] = /Picture size (\d+x\d+) (?:exceeds|is invalid)/.exec(said) ?? [];
    if (size !== undefined) return tooLarge(`Its pictures are ${size}; ${maxPixels} pixels are allowed.`);
    const [, codec] = /Codec \((\w+)\) not on whitelist/.exec(said) ?? [];
    if (codec !== undefined) return refused(`It has a stream in a codec that is not taken (${codec}).`);
    const line = tellingLine(said);
    return unreadable(line === '' ? `${what}.` : `${what}: ${line}`);
  }
}

function refused(message: string, cause?: unknown): AppError {
  return new AppError('VOD_MASTER_REFUSED', message, { cause });
}

function unreadable(message: string, cause?: unknown): AppError {
  return new AppError('VOD_MASTER_UNREADABLE', message, { cause });
}

function tooLarge(message: string): AppError {
  return new AppError('VOD_MASTER_TOO_LARGE', message);
}
