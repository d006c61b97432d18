import { expect, it } from 'vitest';
import { FakeSdkClock, json, settle } from '../../test/support/sdk-fakes.ts';
import type { ApiError } from './api-error.ts';
import type { ServerEvent } from './event-parser.ts';
import { EventStream } from './event-stream.ts';

/** An event stream whose other end the test holds. */
function open(): { response: Response; write: (text: string) => void; end: () => void } {
  let sink: ReadableStreamDefaultController<Uint8Array> | undefined;
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      sink = controller;
    },
  });
  return {
    response: new Response(body),
    write: (text) => sink?.enqueue(new TextEncoder().encode(text)),
    end: () => sink?.close(),
  };
}

interface Listening {
  readonly clock: FakeSdkClock;
  readonly asked: string[];
  readonly events: ServerEvent[];
  readonly answers: (Response | Error)[];
  readonly refusals: ApiError[];
  readonly stream: EventStream;
}

function listen(answers: (Response | Error)[], isMended = false): Listening {
  const clock = new FakeSdkClock();
  const asked: string[] = [];
  const events: ServerEvent[] = [];
  const refusals: ApiError[] = [];
  const stream = new EventStream({
    clock,
    connect(lastId) {
      asked.push(lastId);
      const answer = answers.shift() ?? new TypeError('no network');
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
    },
    onEvent: (event) => events.push(event),
    onRefused(error) {
      refusals.push(error);
      return Promise.resolve(isMended);
    },
  });
  return { clock, asked, events, answers, refusals, stream };
}

it('comes again after a break and says what it has seen', async () => {
  const [first, second] = [open(), open()];
  const { clock, asked, events, stream } = listen([first.response, second.response]);
  first.write('retry: 3000\n\nid: 41\nevent: record\ndata: {}\n\n');
  await settle();
  expect(events).toEqual([{ type: 'record', data: '{}', id: '41' }]);
  first.end();
  await clock.advance(2999);
  expect(asked).toEqual(['']);
  await clock.advance(1);
  expect(asked).toEqual(['', '41']);
  stream.close();
});

it('takes a connection on which nothing comes for dead', async () => {
  const first = open();
  const { clock, asked, stream } = listen([first.response]);
  await clock.advance(30_000);
  first.write(': ping\n\n');
  await clock.advance(39_000);
  expect(asked).toHaveLength(1);
  await clock.advance(2000);
  expect(asked.length).toBeGreaterThan(1);
  stream.close();
});

it('waits longer and longer while the server does not answer, and not at all once the network is back', async () => {
  const { clock, asked, stream } = listen([]);
  await clock.advance(20_000);
  // Half by chance: 0.75 of 1 s, 2 s, 4 s, 8 s.
  expect(asked).toHaveLength(5);
  stream.hurry();
  await settle();
  expect(asked).toHaveLength(6);
  stream.close();
});

it('ends for good when it is refused, unless that can be mended', async () => {
  const refusal = (): Response => json(401, { code: 'TOKEN_EXPIRED' });
  const refused = listen([refusal()]);
  await refused.clock.advance(120_000);
  expect(refused.asked).toHaveLength(1);
  expect(refused.refusals[0]?.code).toBe('TOKEN_EXPIRED');
  const mended = listen([refusal(), open().response], true);
  await mended.clock.advance(10_000);
  expect(mended.asked).toHaveLength(2);
  mended.stream.close();
});

it('closed, it asks no more', async () => {
  const { clock, asked, stream } = listen([]);
  await settle();
  stream.close();
  await clock.advance(120_000);
  expect(asked).toHaveLength(1);
  expect(clock.waitsMs).toEqual([]);
});
