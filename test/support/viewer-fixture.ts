import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Metrics } from '../../src/base/metrics.ts';
import type { LicenseOptions } from '../../src/license/license-options.ts';
import type { LicenseServiceDeps } from '../../src/license/license-service.ts';
import type { ResumeOptions } from '../../src/license/resume/open-resume.ts';
import { openLmdbResumeStore } from '../../src/state/lmdb-resume-store.ts';
import { StateMetrics } from '../../src/state/state-metrics.ts';
import { FakeClock } from './fake-clock.ts';
import { FakeRequest, FakeResponse } from './fake-exchange.ts';
import { LicenseFixture } from './license-fixture.ts';
import { until } from './until.ts';
import { FailingResumeStore, TestPubSub } from './viewer-state.ts';

export const RESUME_OPTIONS: ResumeOptions = {
  minWatchedMs: 10_000,
  completedPercent: 95,
  maxCallsPerAddressPerSecond: 0,
  maxCallsPerViewerPerSecond: 0,
  maxStreams: 100,
  maxStreamsPerViewer: 10,
  maxStreamsPerAddress: 50,
  maxStreamBacklogBytes: 64 * 1024,
};

export interface ViewerFixtureInit {
  readonly resume?: Partial<ResumeOptions>;
  readonly license?: Partial<LicenseOptions>;
  readonly deps?: Partial<LicenseServiceDeps>;
  /** Where the credits of titles begin. */
  readonly credits?: Readonly<Record<string, number>>;
}

/** Sessions and resume over real stores, with time, messages and faults in the test's hand. */
export class ViewerFixture {
  readonly license: LicenseFixture;
  readonly store: FailingResumeStore;
  readonly pubSub: TestPubSub;
  readonly #folder: string;

  private constructor(
    license: LicenseFixture,
    store: FailingResumeStore,
    pubSub: TestPubSub,
    folder: string,
  ) {
    this.license = license;
    this.store = store;
    this.pubSub = pubSub;
    this.#folder = folder;
  }

  static async open({ resume, license, deps, credits = {} }: ViewerFixtureInit = {}): Promise<ViewerFixture> {
    const folder = await mkdtemp(join(tmpdir(), 'headwater-resume-'));
    const metrics = new StateMetrics(new Metrics());
    const clock = new FakeClock();
    const store = new FailingResumeStore(
      await openLmdbResumeStore(join(folder, 'resume.lmdb'), { clock, metrics }),
    );
    const pubSub = new TestPubSub();
    const fixture = await LicenseFixture.open(license, {
      ...deps,
      resume: {
        ...{ store, pubSub },
        options: { ...RESUME_OPTIONS, ...resume },
        factsOf: (title) => ({ creditsMs: credits[title] }),
      },
    });
    return new ViewerFixture(fixture, store, pubSub, folder);
  }

  get clock(): FakeClock {
    return this.license.clock;
  }

  async close(): Promise<void> {
    await this.license.close();
    await this.store.close();
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** One call as a user; gives status and JSON. */
  async call(
    user: string,
    method: string,
    path: string,
    body?: unknown,
  ): Promise<{ readonly status: number; readonly json: Record<string, unknown> }> {
    const response = await this.license.as(this.license.login({ user }), path, { method, body });
    const text = response.text();
    return {
      status: response.status,
      json: text === '' ? {} : (JSON.parse(text) as Record<string, unknown>),
    };
  }

  async claim(user: string, title: string, profile = 'main'): Promise<number> {
    const { json } = await this.call(user, 'POST', `/v1/resume/${title}`, { device: 'd', profile });
    return json['epoch'] as number;
  }

  report(
    user: string,
    title: string,
    report: { readonly epoch: number; readonly seq: number; readonly positionMs: number } & Readonly<
      Record<string, unknown>
    >,
  ): Promise<{ readonly status: number; readonly json: Record<string, unknown> }> {
    return this.call(user, 'PUT', `/v1/resume/${title}`, {
      ...{ device: 'd', durationMs: 3_600_000, state: 'playing' },
      ...report,
    });
  }

  /** Opens an event stream; resolves when it has been answered. */
  async listen(
    user: string,
    query = '',
    headers: Readonly<Record<string, string>> = {},
    remoteAddress = '127.0.0.1',
  ): Promise<FakeResponse> {
    const { license } = this;
    const authorization = `Bearer ${license.login({ user })}`;
    const request = new FakeRequest(`/v1/resume/events${query}`, {
      headers: { host: 'play.example.org', authorization, ...headers },
      remoteAddress,
    });
    const response = new FakeResponse();
    void license.service.handler(request, response);
    request.expire();
    await until(() => response.begun, 'the stream is answered');
    return response;
  }
}

/** Events of a stream so far. */
export function eventsOf(
  response: FakeResponse,
): { readonly event: string; readonly id: string; readonly data: Record<string, unknown> }[] {
  return response
    .text()
    .split('\n\n')
    .flatMap((block) => {
      const field = (name: string): string => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1] ?? '';
      const data = field('data');
      if (data === '') return [];
      return [{ event: field('event'), id: field('id'), data: JSON.parse(data) as Record<string, unknown> }];
    });
}
