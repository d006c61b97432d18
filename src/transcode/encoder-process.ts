/** Why an encoder process is gone. */
export type EncoderExit =
  /** There is no such program, or it may not be run. */
  | { readonly kind: 'missing' }
  | { readonly kind: 'exited'; readonly code: number | null; readonly signal: string | null };

/** How a run of an encoder ended. */
export interface EncoderEnd {
  readonly exit: EncoderExit;
  /** What it put out was not what we asked for. */
  readonly malformed: boolean;
  /** The last lines of its error output. */
  readonly lines: readonly string[];
  /** From its first frame to its last, milliseconds; 0 when it gave none. */
  readonly ranMs: number;
}

/** What the process tells whoever started it. Never called before `spawn` returned, nothing after `exited`. */
export interface EncoderEvents {
  /** Bytes of one output, counted from 0. They are the receiver's from then on. */
  output(index: number, bytes: Uint8Array): void;
  /** What `write` refused to go on with has been taken. */
  drained(): void;
  /** Bytes of the error output. */
  said(bytes: Uint8Array): void;
  /** The process is gone and all its output was given. */
  exited(exit: EncoderExit): void;
}

/** A running encoder. Every call is harmless after its end. */
export interface EncoderProcess {
  readonly pid: number | undefined;
  /** Gives it input. False: enough waits to be taken; write no more until `drained`. */
  write(bytes: Uint8Array): boolean;
  /** No more input: it gives what is left and ends. */
  end(): void;
  /** Ends it at once. */
  kill(): void;
  /** Lets its output flow, or stops it; an encoder that cannot give its output stops encoding. */
  flow(on: boolean): void;
}

export interface EncoderCommand {
  readonly program: string;
  readonly args: readonly string[];
  /** How many outputs it has, on file descriptors from 3 on. */
  readonly outputs: number;
}

/** Starts an encoder. Never throws: what goes wrong is an exit. */
export type SpawnEncoder = (command: EncoderCommand, events: EncoderEvents) => EncoderProcess;
