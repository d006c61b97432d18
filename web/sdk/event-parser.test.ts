import { describe, expect, it } from 'vitest';
import { EventParser, type ServerEvent } from './event-parser.ts';

const TEXT = [
  ': hello\r\nretry: 2000\n\n',
  'id: 7\nevent: record\ndata: {"title":"größe"}\n\n',
  'data: one\rdata:two\r\r',
  'event: session\r\ndata: {"a":1}\r\n\r\n',
  ': ping\n\n',
  'id\ndata\n\n',
  'data: not complete',
].join('');

const EVENTS: readonly ServerEvent[] = [
  { type: 'record', data: '{"title":"größe"}', id: '7' },
  { type: 'message', data: 'one\ntwo', id: '7' },
  { type: 'session', data: '{"a":1}', id: '7' },
  { type: 'message', data: '', id: '' },
];

describe('server-sent events', () => {
  const bytes = new TextEncoder().encode(TEXT);

  it('are the same wherever the bytes are cut', () => {
    for (let cut = 0; cut <= bytes.length; cut++) {
      const parser = new EventParser();
      const events = [...parser.push(bytes.subarray(0, cut)), ...parser.push(bytes.subarray(cut))];
      expect(events, `cut at ${cut}`).toEqual(EVENTS);
      expect(parser.retryMs).toBe(2000);
    }
  });

  it('are the same when each byte comes alone', () => {
    const parser = new EventParser();
    expect([...bytes].flatMap((byte) => parser.push(Uint8Array.of(byte)))).toEqual(EVENTS);
  });

  it('that never end are not waited for', () => {
    const parser = new EventParser();
    expect(() => {
      for (;;) parser.push(new Uint8Array(64 * 1024).fill(0x61));
    }).toThrow(RangeError);
  });
});
