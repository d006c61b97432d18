import type { SdkClock } from '../../web/sdk/clock.ts';
import type { FetchLike } from '../../web/sdk/api-caller.ts';

interface Due {
  readonly atMs: number;
  readonly act: () => void;
}

/** The client library's clock, moved by the test. Chance is always the same. */
export class FakeSdkClock implements SdkClock {
  #nowMs = 1_795_000_000_000;
  #due: Due[] = [];
  chance = 0.5;

  nowMs(): number {
    return this.#nowMs;
  }

  random(): number {
    return this.chance;
  }

  after(delayMs: number, act: () => void): () => void {
    const due = { atMs: this.#nowMs + delayMs, act };
    this.#due.push(due);
    return () => {
      this.#due = this.#due.filter((other) => other !== due);
    };
  }

  /** When timers are due, from now. */
  get waitsMs(): number[] {
    return this.#due.map(({ atMs }) => atMs - this.#nowMs).sort((a, b) => a - b);
  }

  /** Lets time pass; what is due meanwhile happens in order, with all that follows from it. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    await settle();
    for (;;) {
      const [next] = this.#due.toSorted((a, b) => a.atMs - b.atMs);
      if (!next || next.atMs > endMs) break;
      this.#nowMs = next.atMs;
      this.#due = this.#due.filter((other) => other !== next);
      next.act();
      // oxlint-disable-next-line no-await-in-loop
      await settle();
    }
    this.#nowMs = endMs;
    await settle();
  }
}

/** What the browser's cryptography, which works in threads of its own, has not answered yet. */
const pending = new Set<unknown>();

for (const name of ['digest', 'sign', 'generateKey', 'exportKey'] as const) {
  const original = crypto.subtle[name].bind(crypto.subtle) as (...args: unknown[]) => Promise<unknown>;
  Object.defineProperty(crypto.subtle, name, {
    configurable: true,
    value(...args: unknown[]) {
      const call = original(...args);
      pending.add(call);
      call.finally(() => pending.delete(call)).catch(() => undefined);
      return call;
    },
  });
}

/** Turns without anything under way after which nothing more will come by itself. */
const QUIET_TURNS = 12;

/** Lets everything that needs no time happen: promises, and answers of the browser's cryptography. */
export async function settle(): Promise<void> {
  for (let quiet = 0; quiet < QUIET_TURNS; quiet++) {
    // oxlint-disable-next-line no-await-in-loop
    await new Promise((resolve) => setImmediate(resolve));
    if (pending.size > 0) quiet = 0;
  }
}

/** A request as the fake server saw it. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Readonly<Record<string, unknown>> | undefined;
  readonly keepalive: boolean;
}

export type Answer = Response | 'no network';

/** A server made of one function. */
export class FakeServer {
  readonly seen: SeenRequest[] = [];
  answer: (request: SeenRequest) => Answer | Promise<Answer>;

  constructor(answer: (request: SeenRequest) => Answer | Promise<Answer>) {
    this.answer = answer;
  }

  readonly fetch: FetchLike = async (url, init) => {
    const { pathname, search } = new URL(url);
    const request = {
      method: init.method ?? 'GET',
      path: pathname + search,
      headers: init.headers as Readonly<Record<string, string>>,
      body: typeof init.body === 'string' ? (JSON.parse(init.body) as Record<string, unknown>) : undefined,
      keepalive: init.keepalive === true,
    };
    this.seen.push(request);
    const answer = await this.answer(request);
    if (answer === 'no network') throw new TypeError('Failed to fetch');
    return answer;
  };

  /** Of one method and path. */
  of(method: string, path: string): SeenRequest[] {
    return this.seen.filter((request) => request.method === method && request.path === path);
  }
}

export function json(status: number, body: object, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(JSON.stringify(body), { status, headers });
}
