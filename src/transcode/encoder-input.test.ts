import { describe, expect, it } from 'vitest';
import { videoTrack } from '../../test/support/sample-source.ts';
import { encoderInput } from './encoder-input.ts';

const FRAME = { dtsMs: 10_000, ptsMs: 10_040, key: true, data: Uint8Array.of(0, 0, 0, 1, 0x65) };

function ascii(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}

describe('what an encoder is fed with', () => {
  it('is FLV for H.264', () => {
    const input = encoderInput(videoTrack());
    expect(input.format).toBe('flv');
    expect(ascii(input.start()).startsWith('FLV')).toBe(true);
    expect(input.frame(FRAME)[0]).toBe(9);
  });

  it.each([
    ['hvc1', 'V_MPEGH/ISO/HEVC'],
    ['av01', 'V_AV1'],
    ['vp09', 'V_VP9'],
  ] as const)('is Matroska for %s, with decode times left as they are', (codec, name) => {
    const input = encoderInput({ ...videoTrack(), codec });
    expect(input).toMatchObject({ format: 'matroska', decodeShiftMs: 0 });
    const start = ascii(input.start());
    expect(start).toContain('matroska');
    expect(start).toContain(name);
    expect(ascii(input.frame(FRAME))).toContain(ascii(FRAME.data));
  });

  it('has decode times earlier where H.264 may have B-frames', () => {
    expect(encoderInput(videoTrack()).decodeShiftMs).toBe(0);
    const withBFrames = Uint8Array.from(
      Buffer.from(
        '014d401fffe10019674d401feca02802dd80880000030008000003019078c18cb001000568ebe3cb20',
        'hex',
      ),
    );
    expect(encoderInput(videoTrack({ config: withBFrames })).decodeShiftMs).toBe(4000);
  });
});
