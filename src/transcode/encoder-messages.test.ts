import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { createMemoryLog } from '../../test/support/memory-log.ts';
import { EncoderMessages } from './encoder-messages.ts';

function open() {
  const clock = new FakeClock();
  const log = createMemoryLog();
  const messages = new EncoderMessages(clock, log);
  return { clock, log, messages, say: (text: string) => messages.add(Buffer.from(text, 'latin1')) };
}

describe('what an encoder says', () => {
  it('is read line by line however it is split', () => {
    const { messages, say } = open();
    say('one\ntw');
    say('o\r\n\r\nthree');
    expect(messages.last).toEqual(['one', 'two', 'three']);
  });

  it('reaches the log a few lines at once, then one in ten seconds, saying how many were left out', () => {
    const { clock, log, say } = open();
    for (let i = 0; i < 100; i++) say(`line ${i}\n`);
    expect(log.lines).toHaveLength(5);
    clock.advance(10_000);
    say('later\n');
    expect(log.lines.at(-1)).toMatchObject({ level: 'info', fields: { line: 'later', unlogged: 95 } });
  });

  it('is kept in bounds: eight lines, each cut, without control characters', () => {
    const { messages, say } = open();
    for (let i = 0; i < 20; i++) say(`${i} ${'x'.repeat(5000)}\u001b[31m\n`);
    say('y'.repeat(5000));
    expect(messages.last).toHaveLength(9);
    for (const line of messages.last) expect(line.length).toBeLessThanOrEqual(300);
    say('\n\u001b[31mred\n');
    expect(messages.last.at(-1)).toBe('?[31mred');
  });
});
