import { describe, expect, it } from 'vitest';
import {
  parseCompletion,
  parseErrorCode,
  parseList,
  parseUploadId,
  plainEtag,
  renderCompletion,
} from './s3-texts.ts';

const CONTENTS = (key: string): string =>
  `<Contents><Key>${key}</Key><LastModified>2026-11-23T04:05:06.789Z</LastModified><ETag>&quot;abc&quot;</ETag><Size>7</Size></Contents>`;

describe('a list', () => {
  it('is read with or without a namespace, its names escaped as it says', () => {
    const object = { sizeBytes: 7, etag: 'abc', modifiedMs: 1_795_406_706_789 };
    const list = (inner: string): string =>
      `<?xml version="1.0"?>\n<ListBucketResult${inner}</ListBucketResult>`;
    expect(
      parseList(
        list(
          ` xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>${CONTENTS('a%2Fb+c%')}${CONTENTS('a%2Fb+c')}`,
        ),
      ),
    ).toEqual({
      objects: [
        { ...object, name: 'a%2Fb+c%' },
        { ...object, name: 'a/b c' },
      ],
      truncated: true,
      last: 'a/b c',
    });
    expect(parseList(list(`>${CONTENTS('a%2Fb+c')}`))).toEqual({
      objects: [{ ...object, name: 'a%2Fb+c' }],
      truncated: false,
      last: 'a%2Fb+c',
    });
  });

  it('leaves out what has no size or time, and still knows where it ended', () => {
    const list = parseList(
      '<ListBucketResult><Contents><Key>a</Key><Size>x</Size></Contents></ListBucketResult>',
    );
    expect(list).toEqual({ objects: [], truncated: false, last: 'a' });
  });

  it.each([
    '',
    'x',
    '<a/>',
    '<!DOCTYPE a><ListBucketResult/>',
    '<ListBucketResult>',
    '<Error><Code>x</Code></Error>',
  ])('is not %j', (text) => {
    expect(parseList(text)).toBeUndefined();
  });
});

describe('other texts of a store', () => {
  it('give the one thing that counts, or nothing', () => {
    expect(
      parseUploadId(
        '<InitiateMultipartUploadResult><UploadId> 2~x </UploadId></InitiateMultipartUploadResult>',
      ),
    ).toBe('2~x');
    expect(parseUploadId('<InitiateMultipartUploadResult/>')).toBeUndefined();
    expect(
      parseCompletion('<CompleteMultipartUploadResult><ETag>"x-2"</ETag></CompleteMultipartUploadResult>'),
    ).toBe('x-2');
    expect(parseCompletion('<CompleteMultipartUploadResult><ETag/></CompleteMultipartUploadResult>')).toBe(
      '',
    );
    expect(parseCompletion('<Error><Code>InternalError</Code></Error>')).toBeUndefined();
    expect(parseErrorCode('<Error><Code>NoSuchKey</Code><AWSAccessKeyId>me</AWSAccessKeyId></Error>')).toBe(
      'NoSuchKey',
    );
    expect(parseErrorCode('<Error><Code>say my name\n</Code></Error>')).toBe('');
    expect(parseErrorCode('Bad Gateway')).toBe('');
  });

  it('name the parts of an upload in their order', () => {
    expect(renderCompletion(['a', 'b<&'])).toBe(
      '<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>&quot;a&quot;</ETag></Part>' +
        '<Part><PartNumber>2</PartNumber><ETag>&quot;b&lt;&amp;&quot;</ETag></Part></CompleteMultipartUpload>',
    );
  });

  it('have etags in quotes, weak ones too', () => {
    expect(['"a"', 'W/"a"', 'a', '', '""'].map(plainEtag)).toEqual(['a', 'a', 'a', '', '']);
  });
});
