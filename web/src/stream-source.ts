import type { LicenseClient } from './protection/license-client.ts';
import { PassRefused, type PassStatus, PlaybackPass } from './protection/playback-pass.ts';

/** Where a stream is to be had, and its licences. */
export interface StreamAccess {
  readonly streamUrl: URL;
  /** Undefined: no login was given; what is not encrypted plays all the same. */
  readonly licenses: LicenseClient | undefined;
}

/** Finds out where to play a stream from. */
export interface StreamSource {
  /** @throws PassRefused when the viewer may not watch */
  open(): Promise<StreamAccess>;
  /** Of the playback session; undefined while there is none. */
  readonly status: PassStatus | undefined;
}

/** Anybody's: the manifests beside the page. */
export function openSource(streamUrl: URL): StreamSource {
  return { open: () => Promise.resolve({ streamUrl, licenses: undefined }), status: undefined };
}

/** Of a viewer who is logged in: one playback session for as long as the page is open. */
export class PassSource implements StreamSource {
  readonly #stream: string;
  readonly #login: string;
  #pass: PlaybackPass | undefined;

  constructor(stream: string, login: string) {
    this.#stream = stream;
    this.#login = login;
  }

  get status(): PassStatus | undefined {
    return this.#pass?.status;
  }

  async open(): Promise<StreamAccess> {
    const pass = (this.#pass ??= await PlaybackPass.start(this.#stream, this.#login));
    return { streamUrl: pass.streamUrl, licenses: pass.licenses };
  }

  /** Ends the session; the next {@link open} begins another. */
  close(): void {
    this.#pass?.close();
    this.#pass = undefined;
  }
}

/** Whether an error says that the viewer may not watch. */
export function isRefusal(error: unknown): error is PassRefused {
  return error instanceof PassRefused;
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
  return sessionStorage.getItem(LOGIN) ?? undefined;
}

const LOGIN = 'headwater-login';
