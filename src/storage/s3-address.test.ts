import { describe, expect, it } from 'vitest';
import { S3Address } from './s3-address.ts';

const location = { region: 'r', bucket: 'films', prefix: 'media' } as const;

describe('the URLs of a bucket', () => {
  it('have it in the path, or in front of the host', () => {
    const path = new S3Address({ ...location, endpoint: 'http://s3.example:9000', addressing: 'path' });
    expect(path.objectUrl('a/1.m4s')).toBe('http://s3.example:9000/films/media/a/1.m4s');
    expect(path.bucketUrl({ prefix: 'media/a' })).toBe('http://s3.example:9000/films?prefix=media%2Fa');
    const host = new S3Address({ ...location, endpoint: 'https://s3.example/', addressing: 'virtual-host' });
    expect(host.objectUrl('a/1.m4s')).toBe('https://films.s3.example/media/a/1.m4s');
    expect(host.bucketUrl({ prefix: '' })).toBe('https://films.s3.example/?prefix=');
  });

  it('have the prefix with one slash behind it, or none', () => {
    const of = (prefix: string): string =>
      new S3Address({ ...location, prefix, endpoint: 'https://s3.example', addressing: 'path' }).objectUrl(
        'a',
      );
    expect([of(''), of('x'), of('x/y/')]).toEqual([
      'https://s3.example/films/a',
      'https://s3.example/films/x/a',
      'https://s3.example/films/x/y/a',
    ]);
  });

  it('escape what stands in a query, as signatures count it', () => {
    const address = new S3Address({ ...location, endpoint: 'https://s3.example', addressing: 'path' });
    expect(address.objectUrl('a', { uploadId: "2~+/= '()*!&" })).toBe(
      'https://s3.example/films/media/a?uploadId=2~%2B%2F%3D%20%27%28%29%2A%21%26',
    );
  });
});
