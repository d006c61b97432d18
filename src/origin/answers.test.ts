import { beforeEach, describe, expect, it } from 'vitest';
import { FakeResponse } from '../../test/support/fake-exchange.ts';
import { Metrics } from '../base/metrics.ts';
import { Answers, type CodedText } from './answers.ts';
import type { Asked } from './asked.ts';
import type { AnswerKind } from './cache-policy.ts';
import { OriginMetrics } from './origin-metrics.ts';

const BODY = Buffer.from('text');
const PACKED = Buffer.from('packed');
const PLAIN: Asked = {
  head: false,
  query: '',
  acceptsGzip: false,
  range: '',
  ifRange: '',
  ifNoneMatch: '',
  tiers: undefined,
};

let metrics: Metrics;
let answers: Answers;

beforeEach(() => {
  metrics = new Metrics();
  answers = new Answers(new OriginMetrics(metrics));
});

function send(kind: AnswerKind, text: Partial<CodedText> = {}, asked: Partial<Asked> = {}): FakeResponse {
  const response = new FakeResponse();
  const whole = { identity: BODY, gzip: PACKED, contentType: 'text/plain', tag: 'v1', ...text };
  answers.sendText(response, kind, whole, { ...PLAIN, ...asked });
  return response;
}

describe('sendText', () => {
  it('gives the same text the same answer, rendered once', () => {
    expect(send('mpd').answer).toBe(send('mpd').answer);
    expect(send('mpd').header('etag')).toBe('"v1"');
  });

  it('gives the same bytes other headers as another kind of answer, or under another tag', () => {
    expect(send('mpd').header('cache-control')).toBe('public, max-age=1');
    expect(send('page').header('cache-control')).toBe('no-cache');
    expect(send('mpd').header('cache-control')).toBe('public, max-age=1');
    expect(send('mpd', { tag: 'v2' }).header('etag')).toBe('"v2"');
    expect(send('mpd').header('etag')).toBe('"v1"');
  });

  it('tells packed and unpacked apart', () => {
    const packed = send('mpd', {}, { acceptsGzip: true });
    expect([packed.bytes(), packed.header('content-encoding')]).toEqual([PACKED, 'gzip']);
    expect([packed.header('etag'), packed.header('vary')]).toEqual(['"v1-gz"', 'Accept-Encoding']);
    const plain = send('mpd');
    expect([plain.bytes(), plain.header('content-encoding')]).toEqual([BODY, undefined]);
  });

  it('answers 304 with the same headers to who has it in that coding', () => {
    const known = send('mpd', {}, { ifNoneMatch: '"v1"' });
    expect([known.status, known.header('etag'), known.header('vary')]).toEqual([
      304,
      '"v1"',
      'Accept-Encoding',
    ]);
    expect(send('mpd', {}, { ifNoneMatch: '"v1"', acceptsGzip: true }).status).toBe(200);
  });

  it('counts answers by kind and status', async () => {
    send('mpd');
    send('mpd');
    send('mpd', {}, { ifNoneMatch: '*' });
    const text = await metrics.registry.metrics();
    expect(text).toContain('headwater_origin_responses_total{kind="mpd",status="200"} 2');
    expect(text).toContain('headwater_origin_responses_total{kind="mpd",status="304"} 1');
  });
});
