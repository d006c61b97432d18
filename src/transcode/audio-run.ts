import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import { parseAacConfig } from '../media/aac.ts';
import { parseAudioTag } from '../media/flv.ts';
import { FlvReader, type FlvTag } from '../media/flv-reader.ts';
import { writeFlvAudio, writeFlvAudioStart } from '../media/flv-writer.ts';
import { buildAudioArguments } from './audio-arguments.ts';
import { EncoderMessages } from './encoder-messages.ts';
import type { EncoderEnd, EncoderExit, EncoderProcess, SpawnEncoder } from './encoder-process.ts';

export interface AudioRunSetup {
  /** The ffmpeg program. */
  readonly program: string;
  /** Of the AAC to be made. */
  readonly sampleRate: number;
  /** Audio before this sample of the fed file's clock is not encoded. */
  readonly fromSample: number;
}

export interface AudioRunDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly spawn: SpawnEncoder;
}

/** One encoded frame. */
export interface EncodedAudio {
  /** On the fed file's clock. */
  readonly fileMs: number;
  /** AudioSpecificConfig; the same object as long as it is the same. */
  readonly config: Uint8Array;
  readonly data: Uint8Array;
}

/** Who started the run. Never called during the constructor. */
export interface AudioRunHost {
  encoded(run: AudioRun, frame: EncodedAudio): void;
  /** It takes more. */
  drained(run: AudioRun): void;
  ended(run: AudioRun, end: EncoderEnd): void;
}

/** An AAC frame has at most 6144 bits a channel. */
const MAX_TAG_BYTES = 64 * 1024;

/** One run of the audio encoder: tags in, AAC frames out. */
export class AudioRun {
  readonly startedAtMs: number;
  readonly #clock: Clock;
  readonly #host: AudioRunHost;
  readonly #process: EncoderProcess;
  readonly #messages: EncoderMessages;
  readonly #reader = new FlvReader({ maxTagBytes: MAX_TAG_BYTES });
  #config: Uint8Array | undefined;
  #firstAtMs: number | undefined;
  #lastAtMs: number | undefined;
  #blocked = false;
  #malformed = false;

  constructor(setup: AudioRunSetup, deps: AudioRunDeps, host: AudioRunHost) {
    this.#clock = deps.clock;
    this.#host = host;
    this.startedAtMs = deps.clock.monotonicMs();
    this.#messages = new EncoderMessages(deps.clock, deps.log);
    const args = buildAudioArguments(setup.sampleRate, setup.fromSample);
    this.#process = deps.spawn(
      { program: setup.program, args, outputs: 1 },
      {
        output: (_index, bytes) => this.#received(bytes),
        drained: () => this.#drained(),
        said: (bytes) => this.#messages.add(bytes),
        exited: (exit) => this.#exited(exit),
      },
    );
    this.#write(writeFlvAudioStart());
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** Whether it takes another tag now. */
  get ready(): boolean {
    return !this.#blocked;
  }

  get lastOutputAtMs(): number | undefined {
    return this.#lastAtMs;
  }

  /** From its first frame to its last; 0 when it gave none. */
  get ranMs(): number {
    return (this.#lastAtMs ?? 0) - (this.#firstAtMs ?? 0);
  }

  /** @param fileMs not before the last one's */
  feed(fileMs: number, body: Uint8Array): void {
    this.#write(writeFlvAudio(fileMs, body));
  }

  /** No more will be fed: the run gives what is left and ends. */
  finish(): void {
    this.#process.end();
  }

  kill(): void {
    this.#process.kill();
  }

  #write(bytes: Uint8Array): void {
    if (!this.#process.write(bytes)) this.#blocked = true;
  }

  #drained(): void {
    this.#blocked = false;
    this.#host.drained(this);
  }

  #received(bytes: Uint8Array): void {
    if (this.#malformed) return;
    for (const tag of this.#reader.push(bytes)) if (tag.type === 'audio') this.#tag(tag);
    if (this.#reader.fault !== undefined) this.#giveUp();
  }

  #tag(tag: FlvTag): void {
    if (this.#malformed) return;
    const body = parseAudioTag(tag.body);
    if (body.kind === 'config' && parseAacConfig(body.config)) this.#config = body.config;
    else if (body.kind === 'frame' && this.#config) this.#frame(tag.timestampMs, this.#config, body.data);
    else if (body.kind !== 'ignored') this.#giveUp();
  }

  #frame(fileMs: number, config: Uint8Array, data: Uint8Array): void {
    this.#lastAtMs = this.#clock.monotonicMs();
    this.#firstAtMs ??= this.#lastAtMs;
    this.#host.encoded(this, { fileMs, config, data });
  }

  #giveUp(): void {
    if (this.#malformed) return;
    this.#malformed = true;
    this.#process.kill();
  }

  #exited(exit: EncoderExit): void {
    this.#host.ended(this, {
      exit,
      malformed: this.#malformed,
      lines: this.#messages.last,
      ranMs: this.ranMs,
    });
  }
}
