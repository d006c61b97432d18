import { describe, expect, it } from 'vitest';
import { ProgressReader } from './work-progress.ts';

const block = (frame: number, time: number): string =>
  `frame=${frame}\nfps=25.0\nspeed=${time / 7}x\nout_time_us=${time}\nprogress=continue\n`;

describe('the progress that ffmpeg reports', () => {
  it('is told when it has moved on, however the bytes are cut', () => {
    const text = Buffer.from(block(0, 0) + block(5, 200) + block(5, 200) + block(9, 360));
    for (const size of [1, 7, 1000]) {
      const told: number[] = [];
      const reader = new ProgressReader((frames) => told.push(frames));
      for (let at = 0; at < text.length; at += size) reader.push(text.subarray(at, at + size));
      expect(told).toEqual([0, 5, 9]);
    }
  });

  it('holds no more than a line of it', () => {
    const told: number[] = [];
    const reader = new ProgressReader((frames) => told.push(frames));
    for (let piece = 0; piece < 1000; piece++) reader.push(Buffer.alloc(10_000, 'x'));
    reader.push(Buffer.from(`\n${block(3, 1)}`));
    expect(told).toEqual([3]);
  });
});
