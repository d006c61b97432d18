import { describe, expect, it } from 'vitest';
import { type AofState, isWritten, markOf, parseAofState } from './redis-aof-state.ts';

const info = (fields: Record<string, number | string>): string =>
  ['# Persistence', ...Object.entries(fields).map(([name, value]) => `${name}:${value}`), ''].join('\r\n');

const SIZES = {
  aof_enabled: 1,
  aof_rewrites: 2,
  aof_base_size: 88,
  aof_current_size: 1000,
  aof_buffer_length: 30,
};

function stateOf(fields: Record<string, number | string>): AofState {
  const state = parseAofState(info({ ...SIZES, ...fields }));
  if (!state) throw new Error('nothing is said');
  return state;
}

describe('what Redis says of its append-only file', () => {
  it('is read', () => {
    expect(stateOf({})).toMatchObject({ isEnabled: true, writtenBytes: 1000, bufferedBytes: 30 });
    expect(stateOf({ aof_enabled: 0 })).toMatchObject({ isEnabled: false });
  });

  it.each([
    ['', 'nothing'],
    [info({ aof_enabled: 1 }), 'no sizes'],
    [info({ ...SIZES, aof_buffer_length: '' }), 'an empty size'],
    [info({ ...SIZES, aof_current_size: '-1' }), 'a size below nothing'],
    [info({ ...SIZES, aof_current_size: '1e400' }), 'a size that is none'],
  ])('is not guessed when it says %j: %s', (text) => {
    expect(parseAofState(text)).toBeUndefined();
  });

  it('shows that all is written when nothing waits, whatever was before', () => {
    expect(isWritten(undefined, stateOf({ aof_buffer_length: 0 }))).toBe(true);
    expect(isWritten(undefined, stateOf({}))).toBe(false);
  });

  it('shows that what waited is written when the file has grown by it, though more waits by now', () => {
    const mark = markOf(stateOf({}));
    expect(isWritten(mark, stateOf({ aof_current_size: 1029, aof_buffer_length: 500 }))).toBe(false);
    expect(isWritten(mark, stateOf({ aof_current_size: 1030, aof_buffer_length: 500 }))).toBe(true);
  });

  it.each([{ aof_base_size: 89 }, { aof_rewrites: 3 }])('compares no sizes over a rewrite: %j', (change) => {
    const mark = markOf(stateOf({}));
    expect(isWritten(mark, stateOf({ aof_current_size: 5000, ...change }))).toBe(false);
    expect(isWritten(mark, stateOf({ aof_buffer_length: 0, ...change }))).toBe(true);
  });
});
