import { describe, expect, it } from 'vitest';
import { PermanentJobError } from '../../state/job-queue.ts';
import { failureOf, lineThatMatters } from './work-failures.ts';
import type { WorkEnd } from './work-run.ts';

function ended(given: Partial<WorkEnd>): WorkEnd {
  return { exit: { kind: 'exited', code: 1, signal: null }, killedFor: undefined, lines: [], ...given };
}

describe('what a failed ffmpeg means for the job', () => {
  it.each([
    {
      what: 'a master that is no media fails for good, and its path is not told',
      end: ended({ lines: ['file:/masters/secret/film.mov: Invalid data found when processing input'] }),
      isFinal: true,
      message: 'ffmpeg ended with 1: file:master: Invalid data found when processing input',
    },
    {
      what: 'an encoder that is not there fails for good',
      end: ended({ lines: ["Unknown encoder 'libx265'"] }),
      isFinal: true,
      message: "ffmpeg ended with 1: Unknown encoder 'libx265'",
    },
    {
      what: 'a full disk is tried again',
      end: ended({
        lines: ['av_interleaved_write_frame(): No space left on device', 'Conversion failed!'],
      }),
      isFinal: false,
      message: 'ffmpeg ended with 1: av_interleaved_write_frame(): No space left on device',
    },
    {
      what: 'one that was killed is tried again, whatever it said before',
      end: ended({
        exit: { kind: 'exited', code: null, signal: 'SIGKILL' },
        lines: ['[h264 @ 0x1] Invalid data found when processing input'],
      }),
      isFinal: false,
      message: 'ffmpeg was ended by SIGKILL: [h264 @ 0x1] Invalid data found when processing input',
    },
    {
      what: 'one that said nothing is tried again',
      end: ended({}),
      isFinal: false,
      message: 'ffmpeg ended with 1.',
    },
    {
      what: 'one that hung is tried again',
      end: ended({ killedFor: 'hung', exit: { kind: 'exited', code: null, signal: 'SIGKILL' } }),
      isFinal: false,
      message: 'ffmpeg got nowhere for too long and was ended.',
    },
  ])('$what', ({ end, isFinal, message }) => {
    const failure = failureOf(end, 'VOD_PIECE_FAILED', '/masters/secret/film.mov');
    expect(failure.code).toBe('VOD_PIECE_FAILED');
    expect(failure.message).toBe(message);
    expect(failure instanceof PermanentJobError).toBe(isFinal);
  });

  it('has codes of its own for a job that was taken back and for no ffmpeg', () => {
    expect(failureOf(ended({ killedFor: 'aborted' }), 'VOD_PIECE_FAILED', 'm').code).toBe('JOB_CANCELLED');
    const missing = failureOf(ended({ exit: { kind: 'missing' } }), 'VOD_PIECE_FAILED', 'm');
    expect(missing.code).toBe('TRANSCODE_FFMPEG_MISSING');
    expect(missing).not.toBeInstanceOf(PermanentJobError);
  });
});

describe('the line that matters', () => {
  it.each([
    [['a warning', 'Conversion failed!'], 'a warning'],
    [['[mov @ 1] moov atom not found', 'Error opening input files'], '[mov @ 1] moov atom not found'],
    [['Conversion failed!'], 'Conversion failed!'],
    [[], undefined],
  ])('of %j is %j', (lines, line) => {
    expect(lineThatMatters(lines)).toBe(line);
  });
});
