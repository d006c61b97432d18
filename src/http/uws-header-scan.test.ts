import { describe, expect, it } from 'vitest';
import { HeaderScan } from './uws-header-scan.ts';
import type { NativeRequest } from './uws-native.ts';

function requestWith(headers: readonly (readonly [string, string])[]): NativeRequest {
  return {
    getCaseSensitiveMethod: () => 'GET',
    getUrl: () => '/',
    getQuery: () => undefined,
    getHeader: (name) => headers.find(([key]) => key === name)?.[1] ?? '',
    forEach(callback) {
      for (const [name, value] of headers) callback(name, value);
    },
  };
}

describe('HeaderScan', () => {
  const host = ['host', 'a'] as const;

  it.each<[string, (readonly [string, string])[], string | undefined]>([
    ['a plain request', [host, ['accept', '*/*']], undefined],
    ['a counted body', [host, ['content-length', '5']], undefined],
    ['a chunked body', [host, ['transfer-encoding', 'Chunked']], undefined],
    ['no host', [['accept', '*/*']], 'host'],
    ['two hosts', [host, host], 'host'],
    ['two equal lengths', [host, ['content-length', '5'], ['content-length', '5']], 'framing'],
    ['length and coding', [host, ['content-length', '5'], ['transfer-encoding', 'chunked']], 'framing'],
    ['a signed length', [host, ['content-length', '+5']], 'framing'],
    ['an empty length', [host, ['content-length', '']], 'framing'],
    ['another coding', [host, ['transfer-encoding', 'xchunked']], 'framing'],
    ['a long header', [host, ['x', 'y'.repeat(1000)]], 'too_large'],
    ['many headers', [host, ...Array.from({ length: 64 }, () => ['x', 'y'] as const)], 'too_large'],
  ])('%s', (_what, headers, fault) => {
    const scan = new HeaderScan(1000);
    expect(scan.faultOf(requestWith(headers), '/', '')).toBe(fault);
    expect(scan.faultOf(requestWith([host]), '/', '')).toBeUndefined();
  });

  it('notes the values that answers depend on, of the first line of a name, for this request only', () => {
    const scan = new HeaderScan(1000);
    const lines = [
      ['range', 'bytes=0-1'],
      ['range', 'bytes=2-3'],
      ['if-range', '"a"'],
      ['if-none-match', '"b"'],
      ['accept-encoding', 'gzip'],
      ['x-range', 'no'],
    ] as const;
    scan.faultOf(requestWith([host, ...lines]), '/', '');
    const names = ['range', 'if-range', 'if-none-match', 'accept-encoding', 'host'];
    expect(names.map((name) => scan.noted(name))).toEqual(['bytes=0-1', '"a"', '"b"', 'gzip', undefined]);
    scan.faultOf(requestWith([host]), '/', '');
    expect(names.map((name) => scan.noted(name))).toEqual(['', '', '', '', undefined]);
  });

  it('counts path and query', () => {
    expect(new HeaderScan(100).faultOf(requestWith([host]), `/${'p'.repeat(50)}`, 'q'.repeat(50))).toBe(
      'too_large',
    );
  });
});
