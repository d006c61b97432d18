import { ApiCaller, type FetchLike } from './api-caller.ts';
import { ApiError, SessionLimitError } from './api-error.ts';
import { browserClock, type SdkClock } from './clock.ts';
import { deviceNameFrom } from './device-name.ts';
import { type DeviceKey, openDeviceKey } from './device-key.ts';
import { indexedDbStore, type KeyValueStore, memoryStore } from './key-value-store.ts';
import { Login } from './login.ts';
import { OfflineQueue } from './offline-queue.ts';
import { Resume, type SessionNews } from './resume.ts';
import { Session } from './session.ts';
import type { Content, ResumeClaim, SessionGrant, SessionOptions } from './session-types.ts';

export interface ClientOptions {
  /** Where the server's calls are: scheme and host. */
  readonly baseUrl: string;
  /** The viewer's login token, from wherever the page has it; asked again when it has run out. */
  readonly login: () => Promise<string>;
  /** A name for this device, 1 to 64 characters of A-Z a-z 0-9 - _; made up at the first visit unless given. */
  readonly device?: string;
  /** What is otherwise the browser's. */
  readonly environment?: Partial<ClientEnvironment>;
}

/** What the library needs of its surroundings. */
export interface ClientEnvironment {
  readonly fetch: FetchLike;
  readonly clock: SdkClock;
  /** For the device's key: must keep what cannot be cloned into text. */
  readonly keys: KeyValueStore;
  readonly state: KeyValueStore;
  readonly beacon: (url: string, text: string) => boolean;
  readonly userAgent: string;
  readonly onOnline: (listener: () => void) => () => void;
}

const DEFAULT_PROFILE = 'main';
const DEVICE_NAME = 'device-name';

/** One viewer's client: sessions, and where the viewer is in titles. Whoever makes it closes it. */
export class HeadwaterClient {
  /** The name that this device goes by with the viewer's other devices. */
  readonly device: string;
  readonly #environment: ClientEnvironment;
  readonly #api: ApiCaller;
  readonly #login: Login;
  readonly #key: () => Promise<DeviceKey>;
  readonly #queue: OfflineQueue;
  readonly #sessions = new Map<string, Session>();
  readonly #resumes = new Map<string, Resume>();
  readonly #stopOnline: () => void;

  private constructor(options: ClientOptions, environment: ClientEnvironment, device: string) {
    const { fetch, clock, keys, state } = environment;
    let key: Promise<DeviceKey> | undefined;
    this.device = device;
    this.#environment = environment;
    this.#key = () => (key ??= openDeviceKey(keys));
    this.#api = new ApiCaller({ baseUrl: options.baseUrl, fetch, clock, device: this.#key });
    this.#login = new Login(options.login);
    this.#queue = new OfflineQueue(state);
    this.#stopOnline = environment.onOnline(() => this.#onOnline());
  }

  static async open(options: ClientOptions): Promise<HeadwaterClient> {
    const environment = { ...browserEnvironment(), ...options.environment };
    const device = options.device ?? (await knownName(environment));
    return new HeadwaterClient(options, environment, device);
  }

  /**
   * Starts to play something. @throws SessionLimitError when the viewer plays as many as it may: again with `replaces`
   * takes the place of one; ApiError for any other refusal
   */
  async startSession(content: Content, options: SessionOptions = {}): Promise<Session> {
    const { profile = DEFAULT_PROFILE, robustness, replaces } = options;
    const device = (await this.#key()).publicJwk;
    const body = { content, device, profile, robustness, replaces };
    try {
      const grant = await this.#login.call<SessionGrant>(this.#api, {
        method: 'POST',
        path: '/v1/sessions',
        body,
      });
      return this.#adopt(grant, content, profile);
    } catch (error) {
      throw error instanceof ApiError && error.code === 'SESSION_LIMIT'
        ? new SessionLimitError(error)
        : error;
    }
  }

  /** Where a profile is in titles. The same object each time. */
  resume(profile: string = DEFAULT_PROFILE): Resume {
    const known = this.#resumes.get(profile);
    if (known) return known;
    const { clock, beacon } = this.#environment;
    const resume = new Resume(profile, {
      api: this.#api,
      login: this.#login,
      queue: this.#queue,
      clock,
      beacon,
      device: this.device,
      onSessions: (news) => this.#onSessions(news),
    });
    this.#resumes.set(profile, resume);
    return resume;
  }

  /** Ends all sessions and connections. Idempotent. */
  close(): void {
    this.#stopOnline();
    for (const session of this.#sessions.values()) session.close();
    for (const resume of this.#resumes.values()) resume.close();
    this.#sessions.clear();
    this.#resumes.clear();
  }

  #adopt(grant: SessionGrant, content: Content, profile: string): Session {
    const resume = this.resume(profile);
    const claim = (grant.resume ?? undefined) as ResumeClaim | undefined;
    const session = new Session(grant, {
      api: this.#api,
      clock: this.#environment.clock,
      fetch: this.#environment.fetch,
      resume: content.kind === 'vod' ? resume.adopt(content.id, claim) : undefined,
      device: this.device,
      profile,
    });
    this.#sessions.set(session.id, session);
    resume.listen();
    return session;
  }

  #onSessions(news: SessionNews): void {
    for (const [id, session] of this.#sessions) {
      if (session.ended !== undefined) this.#sessions.delete(id);
      else if (news.kind === 'over' && news.sessionId === id) {
        session.endedBy(news.state === 'revoked' ? 'revoked' : 'ended');
      } else if (news.kind === 'alive' && !news.sessionIds.includes(id)) {
        // It may just have begun: the server's own word counts.
        void session.beat();
      }
    }
  }

  #onOnline(): void {
    for (const session of this.#sessions.values()) void session.beat();
    for (const resume of this.#resumes.values()) resume.online();
  }
}

async function knownName({ state, userAgent, clock }: ClientEnvironment): Promise<string> {
  const fresh = deviceNameFrom(userAgent, clock.random());
  try {
    if (await state.add(DEVICE_NAME, fresh)) return fresh;
    const known = await state.get(DEVICE_NAME);
    return typeof known === 'string' ? known : fresh;
  } catch {
    return fresh;
  }
}

function browserEnvironment(): ClientEnvironment {
  const canKeep = typeof indexedDB !== 'undefined';
  return {
    fetch: (url, init) => fetch(url, init),
    clock: browserClock,
    keys: canKeep ? indexedDbStore('keys') : memoryStore(),
    state: canKeep ? indexedDbStore('state') : memoryStore(),
    beacon: sendBeacon,
    userAgent: typeof navigator === 'undefined' ? '' : navigator.userAgent,
    onOnline(listener) {
      if (typeof addEventListener !== 'function') return () => undefined;
      addEventListener('online', listener);
      return () => removeEventListener('online', listener);
    },
  };
}

/** As plain text it needs no leave from another origin first. */
function sendBeacon(url: string, text: string): boolean {
  const type = 'text/plain';
  if (typeof navigator.sendBeacon === 'function' && navigator.sendBeacon(url, new Blob([text], { type })))
    return true;
  fetch(url, { method: 'POST', body: text, headers: { 'Content-Type': type }, keepalive: true }).catch(
    () => undefined,
  );
  return true;
}
