import { describe, expect, it } from 'vitest';
import { AppError } from '../base/errors.ts';
import { problemAnswer } from './problem.ts';
import type { HttpAnswer } from './types.ts';

function bodyOf(answer: HttpAnswer): Record<string, unknown> {
  return JSON.parse(Buffer.from(answer.body as Uint8Array).toString()) as Record<string, unknown>;
}

describe('problemAnswer', () => {
  it('tells status, title and stable code of an AppError', () => {
    const answer = problemAnswer(new AppError('STREAM_NOT_FOUND'));
    expect(answer.status).toBe(404);
    expect(bodyOf(answer)).toEqual({
      type: 'urn:headwater:error:STREAM_NOT_FOUND',
      title: 'No stream of this name is known.',
      status: 404,
      code: 'STREAM_NOT_FOUND',
    });
  });

  it('adds the own sentence of an error that is the caller’s', () => {
    const answer = problemAnswer(new AppError('HTTP_BAD_REQUEST', '_HLS_part needs _HLS_msn'));
    expect(bodyOf(answer)).toMatchObject({ detail: '_HLS_part needs _HLS_msn' });
  });

  it.each([
    ['an unknown error', new TypeError('secret /etc/path')],
    ['a thrown string', 'secret'],
    ['a fault of ours', new AppError('INTERNAL', 'secret')],
  ])('tells nothing of %s', (_what, error) => {
    const answer = problemAnswer(error);
    expect(answer.status).toBe(500);
    expect(bodyOf(answer)).toMatchObject({ code: 'INTERNAL' });
    expect(Buffer.from(answer.body as Uint8Array).toString()).not.toContain('secret');
  });

  it('can be read by a page of another origin and is not stored', () => {
    const headers = new Map(problemAnswer(new AppError('STREAM_OFFLINE')).headers.entries);
    expect(headers.get('Access-Control-Allow-Origin')).toBe('*');
    expect(headers.get('Content-Type')).toBe('application/problem+json');
    expect(headers.get('Cache-Control')).toBe('no-store');
  });
});
