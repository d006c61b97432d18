import { describe, expect, it } from 'vitest';
import { cpuMs } from '../../test/support/cpu-time.ts';
import { publishPermission } from './jwt-claims.ts';

const CLAIM = 'mediamtx_permissions';
const publish = (path: unknown) => ({ [CLAIM]: [{ action: 'publish', path }] });

describe('publishPermission', () => {
  it.each([
    [{ publish: 'studio' }, ['studio'], ['other', 'studio2', 'STUDIO']],
    [{ publish: ['a', 'b'] }, ['a', 'b'], ['c']],
    [{ publish: '*' }, ['a', 'studio'], ['../x', '']],
    [publish('studio'), ['studio'], ['other']],
    [publish('live/studio'), ['studio'], ['live', 'other']],
    [publish(''), ['anything'], ['a/b']],
    [{ [CLAIM]: [{ action: 'publish' }] }, ['anything'], []],
    [{ [CLAIM]: JSON.stringify([{ action: 'publish', path: 'studio' }]) }, ['studio'], ['other']],
    [publish('~^cam-[0-9]+$'), ['cam-1', 'cam-22'], ['cam-', 'xcam-1', 'cam-1x']],
    [publish('~^live/(a|b)$'), ['a', 'b'], ['c', 'ab']],
  ])('%j allows %j and not %j', (claims, allowed, denied) => {
    const permission = publishPermission(claims, CLAIM);
    expect(allowed.filter((name) => !permission.allows(name))).toEqual([]);
    expect(denied.filter((name) => permission.allows(name))).toEqual([]);
  });

  it.each([
    [{}],
    [{ publish: 7 }],
    [{ publish: null }],
    [{ publish: { stream: 'studio' } }],
    [{ publish: ['../studio', 'a b'] }],
    [{ publish: Array.from({ length: 2000 }, () => 'studio') }],
    [{ [CLAIM]: [{ action: 'read', path: 'studio' }] }],
    [{ [CLAIM]: [null, 7, 'publish', []] }],
    [{ [CLAIM]: '[{"action":' }],
    [publish(7)],
    [publish('~([')],
  ])('%j allows nothing', (claims) => {
    const permission = publishPermission(claims, CLAIM);
    expect([permission.allows('studio'), permission.only]).toEqual([false, undefined]);
  });

  it.each([
    '~^(a+)+$',
    '~^(a|a)*b$',
    '~^(?=a)a$',
    '~^(a)\\1$',
    '~^a*a*a*a*$',
    `~^${'(a|a)'.repeat(30)}$`,
    `~${'a'.repeat(300)}`,
  ])('does not run the pattern %s', (path) => {
    expect(publishPermission(publish(path), CLAIM).allows('a'.repeat(64))).toBe(false);
  });

  it('runs the worst pattern it takes in no time', () => {
    const permission = publishPermission(publish('~a*a*a*b'), CLAIM);
    expect(cpuMs(() => permission.allows('a'.repeat(64)))).toBeLessThan(1000);
  });

  it('says which stream is meant only when it is exactly one', () => {
    const only = (claims: Record<string, unknown>) => publishPermission(claims, CLAIM).only;
    expect(only({ publish: 'studio' })).toBe('studio');
    expect(only(publish('studio'))).toBe('studio');
    expect(only({ publish: ['a', 'b'] })).toBeUndefined();
    expect(only({ publish: '*' })).toBeUndefined();
    expect(only(publish('~^studio$'))).toBeUndefined();
  });
});
