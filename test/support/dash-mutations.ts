import { readBoxes } from '../../src/media/isobmff/box-reader.ts';
import type { MutableAnswer, Mutation } from './presentation.ts';

/** Ways to break a DASH presentation of ours on its way to the validator. */

/** Two-second segments whose numbers count from 1970: see LiveBackend. */
export const SEGMENT_MS = 2000;

/** An xs:dateTime. */
export function isoDate(epochMs: number): string {
  return new Date(epochMs).toISOString();
}

/** What a Date header says. */
export function httpDate(epochMs: number): string {
  return new Date(epochMs).toUTCString();
}

/** `video/p1/123.m4s`. */
const SEGMENT = /^(\w+)\/[^/]+\/(\d+)\.m4s$/;

export interface SegmentName {
  readonly rendition: string;
  readonly number: number;
  /** When it begins and ends on the wall clock, ms. */
  readonly beginMs: number;
  readonly endMs: number;
}

/** What a path names, when it is a media segment. */
export function segmentName(path: string): SegmentName | undefined {
  const match = SEGMENT.exec(path);
  if (!match) return undefined;
  const number = Number(match[2]);
  return {
    rendition: match[1] ?? '',
    number,
    beginMs: number * SEGMENT_MS,
    endMs: (number + 1) * SEGMENT_MS,
  };
}

/** Changes the text of the MPD; `nth` counts its answers from 0, the one the program looks at first included. */
export function withMpd(change: (text: string, nth: number, nowMs: number) => string): Mutation {
  let nth = 0;
  return {
    answer: (answer, nowMs) => {
      if (!answer.path.endsWith('.mpd') || answer.status !== 200) return;
      answer.body = Buffer.from(change(answer.body.toString(), nth, nowMs));
      nth += 1;
    },
  };
}

/** Changes the answers to requests for media segments. */
export function withSegments(
  change: (answer: MutableAnswer, name: SegmentName, nowMs: number) => void,
): Mutation {
  return {
    answer: (answer, nowMs) => {
      const name = segmentName(answer.path);
      if (name) change(answer, name, nowMs);
    },
  };
}

/** Changes the answers to everything else that matches. */
export function withAnswer(path: RegExp, change: (answer: MutableAnswer, nowMs: number) => void): Mutation {
  return { answer: (answer, nowMs) => (path.test(answer.path) ? change(answer, nowMs) : undefined) };
}

/** Writes to every top-level box of that type in a copy. */
export function editBoxes(
  body: Buffer,
  type: string,
  edit: (view: DataView, bodyStart: number, start: number) => void,
): Buffer {
  const copy = Buffer.from(body);
  const view = new DataView(copy.buffer, copy.byteOffset, copy.length);
  const visit = (boxes: ReturnType<typeof readBoxes>['boxes']): void => {
    for (const box of boxes) {
      if (box.type === type) edit(view, box.bodyStart, box.start);
      visit(box.children);
    }
  };
  visit(readBoxes(copy).boxes);
  return copy;
}

/** Moves every tfdt. */
export function shiftDecodeTimes(body: Buffer, ticks: number): Buffer {
  return editBoxes(body, 'tfdt', (view, at) =>
    view.setBigUint64(at + 4, view.getBigUint64(at + 4) + BigInt(ticks)),
  );
}

export interface TimelineOptions {
  /** The newest segment listed ended before this. */
  readonly untilMs: number;
  readonly count?: number;
  /** Ticks to add to S@t and S@d. */
  readonly timeOff?: number;
  readonly durationOff?: number;
}

/**
 * The MPD of ours with SegmentTimelines instead of @duration, addressing the same segments by number. Low latency is
 * taken out: a timeline of whole segments has none.
 */
export function asTimeline(text: string, options: TimelineOptions): string {
  const { untilMs, count = 10, timeOff = 0, durationOff = 0 } = options;
  const first = Math.floor(untilMs / SEGMENT_MS) - count;
  return text
    .replaceAll(/ availabilityTimeOffset="[^"]*"| availabilityTimeComplete="[^"]*"/g, '')
    .replaceAll(/<SegmentTemplate ([^>]*?)\/>/g, (_, attributes: string) => {
      const timescale = Number(/timescale="(\d+)"/.exec(attributes)?.[1]);
      const duration = Number(/ duration="(\d+)"/.exec(attributes)?.[1]);
      const ticks = (first * SEGMENT_MS * timescale) / 1000 + timeOff;
      const rest = attributes
        .replace(/ duration="\d+"/, '')
        .replace(/startNumber="\d+"/, `startNumber="${first}"`);
      const line = `<S t="${ticks}" d="${duration + durationOff}" r="${count - 1}"/>`;
      return `<SegmentTemplate ${rest}><SegmentTimeline>${line}</SegmentTimeline></SegmentTemplate>`;
    })
    .replace(/publishTime="[^"]*"/, `publishTime="${isoDate(untilMs)}"`);
}

/** The MPD with a second video Representation, `copy`, which is answered with the first's media. */
export function withCopy(change: (body: Buffer) => Buffer): Mutation {
  return {
    request: (path) => (path.startsWith('copy/') ? path.replace('copy/', 'video/') : undefined),
    answer: (answer) => {
      if (answer.path.endsWith('.mpd')) {
        const text = answer.body.toString();
        answer.body = Buffer.from(
          text.replace(
            /<Representation id="video"[^>]*\/>/,
            (whole) => whole + whole.replace('"video"', '"copy"'),
          ),
        );
      }
      if (/^copy\/.*\/\d+\.m4s$/.test(answer.path) && answer.status === 200)
        answer.body = change(answer.body);
    },
  };
}
