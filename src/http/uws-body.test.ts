import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { sharedBytes } from './shared-bytes.ts';
import { UwsBodyStream, UwsWholeBody } from './uws-body.ts';
import type { NativeResponse } from './uws-native.ts';

/** The native cork buffer. A write in one cork that does not fit it can lose bytes. */
const CORK_BUFFER_BYTES = 16_384;
/** The longest framing of one chunk, with the head that the first write of an answer may still hold back. */
const FRAMING_BYTES = 200;

/** A native response whose socket takes `room` bytes until it drains. */
class FakeNative {
  readonly taken: Uint8Array[] = [];
  readonly corks: number[] = [];
  room = Number.POSITIVE_INFINITY;
  behind = false;
  offset = 0;
  writable: ((offset: number) => boolean) | undefined;

  write(piece: Uint8Array): boolean {
    this.taken.push(Uint8Array.from(piece));
    this.corks[this.corks.length - 1] = (this.corks.at(-1) ?? 0) + piece.length;
    return !this.behind;
  }

  tryEnd(piece: Uint8Array, totalBytes: number): [boolean, boolean] {
    const fits = piece.subarray(0, Math.max(0, this.room));
    this.room -= fits.length;
    this.offset += fits.length;
    this.taken.push(Uint8Array.from(fits));
    return [fits.length === piece.length, this.offset === totalBytes];
  }

  onWritable(callback: (offset: number) => boolean): void {
    if (this.writable) throw new Error('registered twice');
    this.writable = callback;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.taken);
  }

  get native(): NativeResponse {
    return this as unknown as NativeResponse;
  }
}

function pattern(size: number): Buffer {
  return Buffer.from(Array.from({ length: size }, (_, i) => (i * 31 + (i >> 8)) & 0xff));
}

function openStream(limits: { maxBacklogBytes: number; stallTimeoutMs: number }) {
  const native = new FakeNative();
  const clock = new FakeClock();
  const owner = {
    pending: true,
    cuts: [] as string[],
    ends: 0,
    cork(write: () => void): void {
      native.corks.push(0);
      write();
    },
    cut(reason: string): void {
      owner.cuts.push(reason);
      owner.pending = false;
    },
    endStream(): void {
      owner.ends++;
      owner.pending = false;
    },
  };
  return { native, clock, owner, stream: new UwsBodyStream(owner, native.native, clock, limits) };
}

describe('UwsBodyStream', () => {
  const roomy = { maxBacklogBytes: 10_000_000, stallTimeoutMs: 10_000 };

  it('never writes more in one cork than the native cork buffer holds', () => {
    const { native, stream } = openStream(roomy);
    const data = pattern(200_000);
    stream.write(sharedBytes(data));
    expect(native.bytes.equals(data)).toBe(true);
    expect(Math.max(...native.corks)).toBeLessThanOrEqual(CORK_BUFFER_BYTES - FRAMING_BYTES);
  });

  it('counts what was written since the socket was last seen empty', () => {
    const { native, stream } = openStream(roomy);
    native.behind = true;
    stream.write(sharedBytes(pattern(40_000)));
    stream.write(sharedBytes(pattern(10)));
    expect(stream.backlogBytes).toBe(40_010);
    native.behind = false;
    stream.write(sharedBytes(pattern(10)));
    expect(stream.backlogBytes).toBe(0);
  });

  it('is cut past the backlog limit and writes nothing more', () => {
    const { native, owner, stream } = openStream({ maxBacklogBytes: 50_000, stallTimeoutMs: 10_000 });
    native.behind = true;
    stream.write(sharedBytes(pattern(200_000)));
    expect(owner.cuts).toEqual(['backlog']);
    expect(native.bytes.length).toBeLessThan(50_000 + CORK_BUFFER_BYTES);
    stream.write(sharedBytes(pattern(1)));
    stream.end();
    expect(owner.ends).toBe(0);
  });

  it('is cut when it has been behind for the stall time, not when it has caught up in between', () => {
    const { native, clock, owner, stream } = openStream({ maxBacklogBytes: 1e9, stallTimeoutMs: 1000 });
    const writeAfter = (ms: number, behind: boolean): void => {
      clock.advance(ms);
      native.behind = behind;
      stream.write(sharedBytes(pattern(10)));
    };
    writeAfter(0, true);
    writeAfter(900, true);
    writeAfter(50, false);
    writeAfter(10, true);
    writeAfter(900, true);
    expect(owner.cuts).toEqual([]);
    writeAfter(101, true);
    expect(owner.cuts).toEqual(['stalled']);
  });

  it('ends once', () => {
    const { owner, stream } = openStream(roomy);
    stream.end();
    stream.end();
    stream.write(sharedBytes(pattern(1)));
    expect(owner.ends).toBe(1);
  });
});

describe('UwsWholeBody', () => {
  it.each([1, 7, 100, 999, 1000, 1001, 4096])(
    'sends every byte once when the socket takes %d at a time',
    (room) => {
      const native = new FakeNative();
      const clock = new FakeClock();
      const parts = [pattern(1), pattern(0), pattern(1000), pattern(3000), pattern(2)];
      const done: number[] = [];
      const body = new UwsWholeBody(native.native, parts, 4003, clock, () => done.push(clock.monotonicMs()));
      native.room = room;
      body.pump(0);
      while (done.length === 0) {
        expect(body.lastProgressMs).toBe(clock.monotonicMs());
        clock.advance(5);
        native.room = room;
        native.writable?.(native.offset);
      }
      expect(done).toHaveLength(1);
      expect(native.bytes.equals(Buffer.concat(parts))).toBe(true);
    },
  );
});
