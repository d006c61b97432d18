import { isRefusal, SessionLimitError } from '../sdk/api-error.ts';
import { HeadwaterClient } from '../sdk/client.ts';
import type { LicenseClient } from '../sdk/license-client.ts';
import type { Session, SessionStatus } from '../sdk/session.ts';
import type { Content } from '../sdk/session-types.ts';
import type { TitleResume } from '../sdk/title-resume.ts';
import type { PlaybackState } from './playback.ts';

/** Where a stream or title is to be had, and its licences. */
export interface StreamAccess {
  readonly streamUrl: URL;
  /** Undefined: no login was given; what is not encrypted plays all the same. */
  readonly licenses: LicenseClient | undefined;
  /** Where the viewer is in a title; undefined for live, and for who is not logged in. */
  readonly resume: TitleResume | undefined;
}

/** Finds out where to play from. */
export interface StreamSource {
  /** @throws ApiError when the viewer may not watch */
  open(): Promise<StreamAccess>;
  /** The next {@link open} takes the place of a session that is in the way. */
  takeOver(): void;
  /** The session is over, by another's doing. */
  onLost: (() => void) | undefined;
  /** Of the playback session; undefined while there is none. */
  readonly status: SessionStatus | undefined;
}

/** Anybody's: the manifests beside the page. */
export function openSource(streamUrl: URL): StreamSource {
  const access = { streamUrl, licenses: undefined, resume: undefined };
  return {
    open: () => Promise.resolve(access),
    takeOver: () => undefined,
    onLost: undefined,
    status: undefined,
  };
}

/** Of a viewer who is logged in: one playback session for as long as the page is open. */
export class SessionSource implements StreamSource {
  onLost: (() => void) | undefined;
  readonly #content: Content;
  readonly #client: Promise<HeadwaterClient>;
  #session: Promise<Session> | undefined;
  #started: Session | undefined;
  /** The session whose place the next one is to take. */
  #replaces: string | undefined;
  #inTheWay: string | undefined;

  constructor(content: Content, login: string) {
    this.#content = content;
    this.#client = HeadwaterClient.open({ baseUrl: location.origin, login: () => Promise.resolve(login) });
  }

  /** The name that this device goes by. */
  get device(): Promise<string> {
    return this.#client.then(({ device }) => device);
  }

  get status(): SessionStatus | undefined {
    return this.#started?.status;
  }

  async open(): Promise<StreamAccess> {
    const { manifests, licenses, resume } = await (this.#session ??= this.#start());
    return { streamUrl: new URL('.', manifests.hls), licenses, resume };
  }

  takeOver(): void {
    this.#replaces = this.#inTheWay;
  }

  /** The page goes: the session ends. The next {@link open} begins another. */
  close(): void {
    const session = this.#started;
    this.#forget();
    session?.close();
  }

  async #start(): Promise<Session> {
    try {
      const client = await this.#client;
      const session = await client.startSession(this.#content, { replaces: this.#replaces });
      session.onEnded = (reason) => {
        this.#forget();
        if (reason !== 'closed') this.onLost?.();
      };
      this.#started = session;
      return session;
    } catch (error) {
      this.#session = undefined;
      if (error instanceof SessionLimitError) this.#inTheWay = error.sessions[0]?.sessionId;
      throw error;
    } finally {
      this.#replaces = undefined;
    }
  }

  #forget(): void {
    this.#session = undefined;
    this.#started = undefined;
  }
}

/** What a failed {@link StreamSource.open} means to the viewer, and what to say of it. */
export function refusalOf(error: unknown): {
  readonly state: PlaybackState;
  readonly message: string | undefined;
} {
  if (error instanceof SessionLimitError) return { state: 'limit', message: error.message };
  return isRefusal(error)
    ? { state: 'refused', message: error.message }
    : { state: 'unreachable', message: undefined };
}

/**
 * The login token that came with the page's address as `#login=…`, kept for this tab. In the fragment it never reaches a
 * server's log, and it is taken off so that nobody copies it with the address.
 */
export function takeLogin(): string | undefined {
  const given = new URLSearchParams(location.hash.slice(1)).get('login');
  if (given !== null && given !== '') {
    sessionStorage.setItem(LOGIN, given);
    history.replaceState(null, '', location.pathname + location.search);
  }
  return storedLogin();
}

/** The login token of this tab. */
export function storedLogin(): string | undefined {
  return sessionStorage.getItem(LOGIN) ?? undefined;
}

const LOGIN = 'headwater-login';
