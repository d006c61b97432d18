import { describe, expect, it } from 'vitest';
import { configuredSrtPulls, parseSrtPulls, srtPulls } from './srt-pulls.ts';

const PLAIN = { streamId: '', passphraseFile: undefined, keyBytes: 16, latencyMs: undefined };

describe('parseSrtPulls', () => {
  it('reads none, and a list with everything in it', () => {
    expect(parseSrtPulls(' none ')).toEqual({ sources: [] });
    const text =
      'a=srt://encoder.example:9000 b=srt://[2001:db8::7]:1234?streamid=%23!::r=cam,m=request&passphraseFile=/run/p&pbkeylen=32&latency=300&mode=caller';
    expect(configuredSrtPulls(text)).toEqual([
      { ...PLAIN, stream: 'a', host: 'encoder.example', port: 9000 },
      {
        stream: 'b',
        host: '2001:db8::7',
        port: 1234,
        streamId: '#!::r=cam,m=request',
        passphraseFile: '/run/p',
        keyBytes: 32,
        latencyMs: 300,
      },
    ]);
  });

  it.each([
    ['', 'expected none'],
    ['srt://host:1', 'expected none'],
    ['bad/name=srt://host:1', 'expected none'],
    ['a=srt://host:1 a=srt://host:2', 'a is there twice'],
    ['a=udp://host:1', 'a: expected srt://host:port'],
    ['a=srt://host', 'a: expected srt://host:port'],
    ['a=srt://:9000', 'a: expected srt://host:port'],
    ['a=srt://u:p@host:1', 'a: expected nothing but a query'],
    ['a=srt://host:1?streamid=#!::r=x', 'a: expected nothing but a query'],
    ['a=srt://host:1/path', 'a: expected nothing but a query'],
    ['a=srt://host:1?passphrase=x', 'a: unknown parameter passphrase'],
    ['a=srt://host:1?mode=listener', 'a: only mode=caller'],
    ['a=srt://host:1?pbkeylen=17', 'a: pbkeylen must be'],
    ['a=srt://host:1?latency=-1', 'a: latency must be'],
    [`a=srt://host:1?streamid=${'x'.repeat(513)}`, 'a: streamid is over 512 bytes'],
  ])('refuses %j', (text, problem) => {
    expect(parseSrtPulls(text)).toEqual({ problem: expect.stringContaining(problem) });
  });

  it('never repeats what it was given: a stream id may be a key', () => {
    const reading = srtPulls('none', '').read('a=srt://host:1?streamid=hw_secret&x=1');
    expect(JSON.stringify(reading)).not.toContain('hw_secret');
  });
});
