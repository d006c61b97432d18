import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { Metrics } from '../../base/metrics.ts';
import type { Route } from '../../http/router.ts';
import type { HttpRequest } from '../../http/types.ts';
import type { PubSub } from '../../state/pub-sub.ts';
import type { ResumeStore } from '../../state/resume-store.ts';
import type { ReplayCache, SessionStore } from '../../state/session-store.ts';
import type { Credentials } from '../authorised-request.ts';
import { RateLimiter } from '../rate-limiter.ts';
import type { TokenGuard } from '../token-guard.ts';
import type { TokenRing } from '../token-ring.ts';
import type { ViewerNames } from '../viewer-sessions.ts';
import { EventHub, type EventHubOptions } from './event-hub.ts';
import { EventTickets } from './event-tickets.ts';
import { ResumeMetrics } from './resume-metrics.ts';
import type { ResumeRules, TitleFacts } from './resume-policy.ts';
import { resumeRoutes } from './resume-routes.ts';
import { ResumeService } from './resume-service.ts';
import { ViewerAccess } from './viewer-access.ts';
import { ViewerNotices } from './viewer-notices.ts';

export interface ResumeOptions extends ResumeRules, EventHubOptions {
  readonly maxCallsPerAddressPerSecond: number;
  readonly maxCallsPerViewerPerSecond: number;
}

/** What resume state is kept in; closed by whoever opened it, after the service. */
export interface ResumeState {
  readonly store: ResumeStore;
  readonly pubSub: PubSub;
}

export interface ResumeDeps extends ResumeState {
  readonly sessions: SessionStore;
  readonly replay: ReplayCache;
  readonly guard: TokenGuard;
  readonly names: ViewerNames;
  readonly ring: TokenRing;
  readonly credentials: (request: HttpRequest) => Credentials;
  readonly factsOf: (title: string) => TitleFacts;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly randomBytes: (size: number) => Uint8Array;
}

/** Where viewers are: the calls, and what other parts of the room need of it. */
export interface Resume {
  readonly service: ResumeService;
  readonly notices: ViewerNotices;
  readonly routes: readonly Route[];
  /** Ends all event streams. Idempotent. */
  close(): void;
}

const MAX_NAMES = 100_000;
/** Turns at once after a pause, as a multiple of those a second. */
const BURST = 3;

/** Makes it out of its parts; the caller closes it. */
export function openResume(options: ResumeOptions, deps: ResumeDeps): Resume {
  const { clock, log, sessions, guard, names, store, pubSub } = deps;
  const metrics = new ResumeMetrics(deps.metrics);
  const notices = new ViewerNotices({ pubSub, clock, log, metrics });
  const service = new ResumeService(options, { store, notices, factsOf: deps.factsOf, clock, metrics });
  const hub = new EventHub(options, { store, sessions, pubSub, notices, clock, metrics });
  const limiter = (perSecond: number): RateLimiter =>
    new RateLimiter({ perSecond, burst: perSecond * BURST, maxNames: MAX_NAMES }, clock);
  const routes = resumeRoutes({
    service,
    access: new ViewerAccess({ guard, names, sessions, clock }),
    hub,
    tickets: new EventTickets({ ring: deps.ring, replay: deps.replay, clock, randomBytes: deps.randomBytes }),
    sessions,
    credentials: deps.credentials,
    byAddress: limiter(options.maxCallsPerAddressPerSecond),
    byViewer: limiter(options.maxCallsPerViewerPerSecond),
    clock,
    metrics,
  });
  return { service, notices, routes, close: () => hub.close() };
}
