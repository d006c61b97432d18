import { expect, it } from 'vitest';
import { fakeRequest, RecordedResponse } from '../../test/support/http-exchange.ts';
import { Metrics } from '../base/metrics.ts';
import type { HttpAnswer } from '../http/types.ts';
import { createMetricsEndpoint, registerProcessMetrics } from './metrics-endpoint.ts';

async function ask(method: string, path: string): Promise<HttpAnswer | undefined> {
  const metrics = new Metrics();
  metrics.counter('test_things_total', 'Things').inc(3);
  registerProcessMetrics(metrics);
  const response = new RecordedResponse();
  await createMetricsEndpoint(metrics)(fakeRequest({ method, path }), response);
  return response.answers[0];
}

it('serves our metrics and those of the process as Prometheus text, and nothing else', async () => {
  const answer = await ask('GET', '/metrics');
  const text = Buffer.from(answer?.body as Uint8Array).toString();
  expect(text).toContain('headwater_test_things_total 3');
  expect(text).toContain('headwater_nodejs_eventloop_lag_seconds');
  expect(text).toContain('headwater_process_resident_memory_bytes');
  expect(answer?.headers.entries).toContainEqual([
    'Content-Type',
    'text/plain; version=0.0.4; charset=utf-8',
  ]);
  expect((await ask('GET', '/'))?.status).toBe(404);
  expect((await ask('POST', '/metrics'))?.status).toBe(405);
});
