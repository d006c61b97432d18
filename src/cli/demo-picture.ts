/**
 * The test picture as an ffmpeg filter graph. Nothing outside ffmpeg draws it: the frame's wall-clock time is taken
 * with RTCTIME where the frame is made, drawn for people (a clock) and for machines (a code), and then replaced by
 * an exact 30 fps timeline, so that the stream itself is as regular as a camera's.
 */

export const DEMO_WIDTH = 1280;
const DEMO_HEIGHT = 720;
const DEMO_FPS = 30;
const FONT = '/usr/share/fonts/truetype/dejavu/DejaVuSansMono-Bold.ttf';

/** The code is a row of 40 blocks across the top: 32 bits of milliseconds, then 8 bits of checksum, high bit first. */
const TIME_BITS = 32;
const CHECK_BITS = 8;
const BLOCK = DEMO_WIDTH / (TIME_BITS + CHECK_BITS);

/** Wall-clock milliseconds modulo 2^32, kept in the expression's register 0. `t` is the frame's wall-clock time. */
const TIME = 'st(0,mod(round(t*1000),4294967296))';
/** Checksum of the four bytes with weights 1, 3, 5, 7 (a run of equal bits must not pass), kept in register 1. */
const CHECK =
  'st(1,mod(ld(0),256)+3*mod(floor(ld(0)/256),256)+5*mod(floor(ld(0)/65536),256)+7*floor(ld(0)/16777216)+90)';
const DAY_MS = 86_400_000;

/** Video on `[video]` (1280×720, 30 fps) and audio on `[audio]` (48 kHz), both in real time. */
export function demoFilterGraph(): string {
  return `${videoChain()}[video];${audioChain()}[audio]`;
}

function videoChain(): string {
  const clock = [
    `drawtext=fontfile=${FONT}:text='%{pts\\:hms} UTC':fontsize=64:fontcolor=white`,
    'box=1:boxcolor=black@0.7:boxborderw=18:x=(w-tw)/2:y=80',
  ].join(':');
  return [
    `testsrc2=size=${DEMO_WIDTH}x${DEMO_HEIGHT}:rate=${DEMO_FPS}`,
    'format=yuv420p',
    'realtime',
    'settb=1/1000',
    'setpts=RTCTIME/1000',
    ...codeFilters(),
    // Time of day: what the clock shows.
    `setpts='mod(PTS,${DAY_MS})'`,
    clock,
    `settb=1/${DEMO_FPS}`,
    'setpts=N',
  ].join(',');
}

/** One white box a bit that is set, on a black band; white and black have no colour, so that 4:2:0 cannot smear it. */
function codeFilters(): string[] {
  const bits = [
    ...Array.from({ length: TIME_BITS }, (_, i) => `${TIME};${bitOf(0, TIME_BITS - 1 - i)}`),
    ...Array.from({ length: CHECK_BITS }, (_, i) => `${TIME};${CHECK};${bitOf(1, CHECK_BITS - 1 - i)}`),
  ];
  const boxes = bits.map(
    (expression, i) =>
      `drawbox=x=${i * BLOCK}:y=0:w=${BLOCK}:h=${BLOCK}:color=white:t=fill:enable='${expression}'`,
  );
  return [`drawbox=x=0:y=0:w=${DEMO_WIDTH}:h=${BLOCK * 1.5}:color=black:t=fill`, ...boxes];
}

function bitOf(register: number, bit: number): string {
  return `mod(floor(ld(${register})/${2 ** bit}),2)`;
}

/** A 1 kHz beep on each full wall-clock second: the time of the first sample is taken once, the rest is counted. */
function audioChain(): string {
  const firstSample = 'if(n,0,0*st(0,time(0)))';
  const beep = 'if(lt(mod(t+ld(0),1),0.08),0.25*sin(2*PI*1000*t),0)';
  return `aevalsrc=exprs='${firstSample};${beep}':sample_rate=48000,aformat=sample_fmts=fltp:channel_layouts=stereo`;
}
