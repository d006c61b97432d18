import { describe, expect, it } from 'vitest';
import { DEFAULT_AUDIO, DEFAULT_VIDEO, WindowModel } from '../../test/support/window-model.ts';
import { declaredRate } from './declared-rate.ts';

function model(bitsPerSecond: number): WindowModel {
  return new WindowModel({ video: DEFAULT_VIDEO, audio: DEFAULT_AUDIO, bitsPerSecond });
}

function rate(window: WindowModel, id: 'video' | 'audio'): { peakBps: number; averageBps: number } {
  const track = window.period.tracks.get(id);
  if (!track) throw new Error('no track');
  return declaredRate(window.rendition(id), track);
}

describe('declaredRate', () => {
  it('is never below the measured peak, and at most 25 % above it once settled', () => {
    for (const bitsPerSecond of [9_000, 99_500, 512_345, 2_000_000, 8_123_456, 41_000_000]) {
      const window = model(bitsPerSecond).run(20_000);
      const { peakBps, averageBps } = rate(window, 'video');
      expect(peakBps).toBeGreaterThanOrEqual(window.rendition('video').peakBps);
      expect(peakBps).toBeLessThanOrEqual(window.rendition('video').peakBps * 1.25);
      expect(averageBps).toBeGreaterThanOrEqual(window.rendition('video').averageBps);
      expect(averageBps).toBeLessThanOrEqual(window.rendition('video').averageBps * 1.1);
    }
  });

  it('leaves more room while few segments have been seen', () => {
    const window = model(2_000_000).run(2100);
    expect(rate(window, 'video').peakBps).toBe(3_000_000);
    window.run(10_000);
    expect(rate(window, 'video').peakBps).toBe(2_200_000);
  });

  it('assumes something sane before anything is measured', () => {
    const window = model(2_000_000);
    expect(rate(window, 'video')).toEqual({ peakBps: 2_800_000, averageBps: 2_800_000 });
    expect(rate(window, 'audio').peakBps).toBe(130_000);
  });
});
