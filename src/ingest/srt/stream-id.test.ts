import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseStreamId } from './stream-id.ts';

const read = (text: string) => parseStreamId(Buffer.from(text));

describe('parseStreamId', () => {
  it.each([
    ['hw_key', { app: 'live', key: 'hw_key', query: '' }],
    ['live/hw_key', { app: 'live', key: 'hw_key', query: '' }],
    ['/live/hw_key', { app: 'live', key: 'hw_key', query: '' }],
    ['other/hw_key', { app: 'other', key: 'hw_key', query: '' }],
    ['live/hw_key?token=a/b:c', { app: 'live', key: 'hw_key', query: 'token=a/b:c' }],
    ['hw_key?role=backup', { app: 'live', key: 'hw_key', query: 'role=backup' }],
    ['publish:hw_key', { app: 'live', key: 'hw_key', query: '' }],
    ['publish:live/hw_key', { app: 'live', key: 'hw_key', query: '' }],
    ['PUBLISH:hw_key?role=backup', { app: 'live', key: 'hw_key', query: 'role=backup' }],
    ['publish:cam:ann:s3cret', { app: 'live', key: 'cam', query: '', user: 'ann', password: 's3cret' }],
    ['publish:cam:ann:pw:a=b', { app: 'live', key: 'cam', query: 'a=b', user: 'ann', password: 'pw' }],
    ['publish:cam:ann:pw?x=1:2', { app: 'live', key: 'cam', query: 'x=1:2', user: 'ann', password: 'pw' }],
    ['#!::r=hw_key,m=publish', { app: 'live', key: 'hw_key', query: '' }],
    ['#!::m=publish,r=live/hw_key,u=ann', { app: 'live', key: 'hw_key', query: '', user: 'ann' }],
    ['#!::m=publish,r=k,token=t,role=backup', { app: 'live', key: 'k', query: 'role=backup', token: 't' }],
    ['#!::m=publish,r=k?a=b,h=host,s=id,t=stream', { app: 'live', key: 'k', query: 'a=b' }],
    ['%23!%3A%3Ar%3Dlive%2Fkey%2Cm%3Dpublish', { app: 'live', key: 'key', query: '' }],
    ['%23%21%3A%3Ar%3Dkey%2Cm%3Dpublish', { app: 'live', key: 'key', query: '' }],
    ['%23!::r=key,m=publish', { app: 'live', key: 'key', query: '' }],
    ['publish%3Akey', { app: 'live', key: 'key', query: '' }],
    ['live%2Fkey%3Ftoken%3Dabc', { app: 'live', key: 'key', query: 'token=abc' }],
    ['live/key?token=a%2Fb', { app: 'live', key: 'key', query: 'token=a%2Fb' }],
  ])('reads %s', (text, request) => {
    expect(read(text)).toEqual({ kind: 'publish', request });
  });

  it.each([
    ['', 1400, 'streamid_missing'],
    ['live/', 1400, 'streamid_malformed'],
    ['?token=x', 1400, 'streamid_malformed'],
    ['publish:', 1400, 'streamid_malformed'],
    ['#!::', 1400, 'streamid_malformed'],
    ['#!::publish', 1400, 'streamid_malformed'],
    ['#!::m=publish', 1400, 'streamid_malformed'],
    ['key\u0007', 1400, 'streamid_malformed'],
    ['publish%3Akey%00', 1400, 'streamid_malformed'],
    ['%23!%3A%3Ar%3D%ZZ', 1400, 'streamid_malformed'],
    ['#!::r=key,m=publish,t=file', 1400, 'type_not_stream'],
    ['#!::r=key,m=request', 1405, 'mode_not_publish'],
    ['#!::r=key,m=bidirectional', 1405, 'mode_not_publish'],
    ['#!::r=key', 1405, 'mode_not_publish'],
    ['read:key', 1405, 'mode_not_publish'],
    ['request:key', 1405, 'mode_not_publish'],
    ['read%3Akey', 1405, 'mode_not_publish'],
  ])('refuses %j with code %i', (text, code, why) => {
    expect(read(text)).toEqual({ kind: 'refused', code, why });
  });

  it('takes 512 bytes and not one more', () => {
    expect(read('k'.repeat(512)).kind).toBe('publish');
    expect(read('k'.repeat(513)).kind).toBe('refused');
  });

  it('takes any bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 600 }), (any) => void parseStreamId(Buffer.from(any))));
    fc.assert(fc.property(fc.string({ maxLength: 100 }), (any) => void read(`#!::${any}`)));
    fc.assert(fc.property(fc.string({ maxLength: 100 }), (any) => void read(`publish%3A${any}`)));
  });
});
