import { expect, it } from 'vitest';
import { Handshake, type HandshakeStep } from './handshake.ts';

const C1 = Buffer.alloc(1536, 0xc1);
const C2 = Buffer.alloc(1536, 0xc2);
const HELLO = Buffer.concat([Buffer.from([3]), C1]);

function shake(pieces: readonly Buffer[]): { steps: HandshakeStep[]; replies: Buffer } {
  const handshake = new Handshake((size) => new Uint8Array(size).fill(0xee));
  const steps = pieces.map((piece) => handshake.push(piece));
  const replies = steps.flatMap((step) =>
    step.kind !== 'invalid' && step.reply !== undefined ? [step.reply] : [],
  );
  return { steps, replies: Buffer.concat(replies) };
}

it('answers C0 and C1 with S0, a simple S1 and the echo, and hands back what follows C2', () => {
  const { steps, replies } = shake([HELLO, Buffer.concat([C2, Buffer.from('rest')])]);
  expect(steps.map((step) => step.kind)).toEqual(['more', 'done']);
  expect(steps[1]).toMatchObject({ rest: Buffer.from('rest') });
  expect(replies.length).toBe(1 + 2 * 1536);
  expect(replies.subarray(0, 9)).toEqual(Buffer.from([3, 0, 0, 0, 0, 0, 0, 0, 0]));
  expect(replies.subarray(9, 1537)).toEqual(Buffer.alloc(1528, 0xee));
  expect(replies.subarray(1537)).toEqual(C1);
});

it('finishes a handshake that comes in one write, or byte by byte, with the same answer', () => {
  const all = Buffer.concat([HELLO, C2, Buffer.from('x')]);
  const whole = shake([all]);
  const bytewise = shake([...all].map((byte) => Buffer.from([byte])).slice(0, -1));
  expect(whole.steps.at(-1)).toMatchObject({ kind: 'done', rest: Buffer.from('x') });
  expect(bytewise.steps.at(-1)).toMatchObject({ kind: 'done', rest: Buffer.alloc(0) });
  expect(bytewise.replies.equals(whole.replies)).toBe(true);
});

it('does not answer half a C1', () => {
  const { steps, replies } = shake([HELLO.subarray(0, 1536)]);
  expect(steps).toEqual([{ kind: 'more', reply: undefined }]);
  expect(replies.length).toBe(0);
});

it.each([['G'], ['\u0006'], ['\u0000']])('refuses a first byte that is not version 3: %j', (first) => {
  expect(shake([Buffer.from(`${first}ET / HTTP/1.1\r\n`, 'latin1')]).steps).toEqual([{ kind: 'invalid' }]);
});
