import { describe, expect, it } from 'vitest';
import { splitTarget } from './request-target.ts';

describe('splitTarget', () => {
  it.each([
    ['/a/b', { path: '/a/b', query: '' }],
    ['/a?b=c?d', { path: '/a', query: 'b=c?d' }],
    ['/a/../b%2f', { path: '/a/../b%2f', query: '' }],
    ['//x', { path: '//x', query: '' }],
    ['http://host:80/a?b', { path: '/a', query: 'b' }],
    ['http://host', { path: '/', query: '' }],
    ['http://host?b', { path: '/', query: 'b' }],
    ['*', { path: '*', query: '' }],
    ['a', undefined],
    ['', undefined],
    ['host:443', undefined],
    ['/a#b', undefined],
  ])('%s', (target, expected) => {
    expect(splitTarget(target)).toEqual(expected);
  });
});
