import { type DeviceKey, openDeviceKey } from './device-key.ts';
import { makeProof } from './device-proof.ts';
import { keyIdsAsked, type LicenseAnswer, type LicenseClient, parseExpiry } from './license-client.ts';

/** What a playback session is to the page. */
export interface PassStatus {
  readonly sessionId: string;
  /** Tiers of quality that its licences open. */
  readonly tiers: readonly string[];
  /** When the session ends, ms since the Unix epoch. */
  readonly expiresMs: number;
  /** Licences given, and requests refused. */
  readonly licenses: number;
  readonly refusals: number;
  /** When the newest licence ends. */
  readonly licenseExpiresMs: number | undefined;
  /** Different keys that licences were asked for; each change of keys adds some. */
  readonly keys: number;
  /** The newest of them, base64url, and when it was asked for first. */
  readonly newestKey: { readonly id: string; readonly atMs: number } | undefined;
}

/** What the server answers to the start of a session, and to each heartbeat. */
interface SessionAnswer {
  readonly sessionId: string;
  readonly token: string;
  readonly manifests: { readonly hls: string; readonly dash: string };
  readonly licenseUrl: string;
  readonly heartbeatSeconds: number;
  readonly expiresAt: string;
  readonly tiers: readonly string[];
}

/** A session could not be started; the message is for the viewer. */
export class PassRefused extends Error {}

/** The token in the path of everything that a session fetches. */
const PATH_TOKEN = /\/t\/[^/]+\//;

/**
 * The viewer's leave to play one stream: a playback session with its own manifests and licences, bound to this
 * browser's key. Kept alive until it is closed.
 */
export class PlaybackPass {
  /** What players need; it follows the session as its tokens are renewed. */
  readonly licenses: LicenseClient;
  readonly #device: DeviceKey;
  readonly #timer: ReturnType<typeof setInterval>;
  #session: SessionAnswer;
  /** Made ahead: when the page goes there is no time to sign. */
  #farewell: Readonly<Record<string, string>> = {};
  readonly #keys = new Set<string>();
  #newestKey: PassStatus['newestKey'];
  #answers = { licenses: 0, refusals: 0, expiresMs: undefined as number | undefined };

  private constructor(session: SessionAnswer, device: DeviceKey) {
    this.#session = session;
    this.#device = device;
    this.licenses = this.#createClient();
    this.#timer = setInterval(() => void this.#beat(), session.heartbeatSeconds * 1000);
    void this.#prepareFarewell();
  }

  /** Starts a session. @throws PassRefused with what the server said */
  static async start(stream: string, login: string): Promise<PlaybackPass> {
    const device = await openDeviceKey();
    const response = await fetch('/v1/sessions', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${login}` },
      body: JSON.stringify({ content: { kind: 'live', id: stream }, device: device.publicJwk }),
    });
    if (!response.ok) throw new PassRefused(await refusalOf(response));
    return new PlaybackPass((await response.json()) as SessionAnswer, device);
  }

  /** Where the session's manifests are. */
  get streamUrl(): URL {
    return new URL('.', new URL(this.#session.manifests.hls, location.href));
  }

  get status(): PassStatus {
    const { sessionId, tiers, expiresAt } = this.#session;
    const { licenses, refusals, expiresMs } = this.#answers;
    return {
      sessionId,
      tiers,
      expiresMs: Date.parse(expiresAt),
      licenses,
      refusals,
      licenseExpiresMs: expiresMs,
      keys: this.#keys.size,
      newestKey: this.#newestKey,
    };
  }

  /** Ends the session, so that it does not count among the viewer's any more. */
  close(): void {
    clearInterval(this.#timer);
    void fetch(this.#url(''), { method: 'DELETE', keepalive: true, headers: this.#farewell });
  }

  #createClient(): LicenseClient {
    const url = new URL(this.#session.licenseUrl, location.href);
    return {
      url,
      headers: (body) => {
        for (const kid of keyIdsAsked(body)) this.#noteKey(kid);
        return this.#headers('POST', url);
      },
      freshUrl: (old) => old.replace(PATH_TOKEN, PATH_TOKEN.exec(this.streamUrl.pathname)?.[0] ?? '$&'),
      answered: (answer) => this.#note(answer),
    };
  }

  /** A beat that fails is made up for by the next one. */
  async #beat(): Promise<void> {
    try {
      const url = this.#url('/heartbeat');
      const response = await fetch(url, { method: 'POST', headers: await this.#headers('POST', url) });
      if (response.ok) this.#session = (await response.json()) as SessionAnswer;
    } catch {
      // The session has some beats to spare.
    }
    await this.#prepareFarewell();
  }

  async #prepareFarewell(): Promise<void> {
    this.#farewell = await this.#headers('DELETE', this.#url(''));
  }

  #url(path: string): URL {
    return new URL(`/v1/sessions/${encodeURIComponent(this.#session.sessionId)}${path}`, location.href);
  }

  async #headers(method: string, url: URL): Promise<Readonly<Record<string, string>>> {
    const { token } = this.#session;
    const proof = await makeProof(this.#device, { method, url, token, nonce: undefined }, Date.now());
    return { Authorization: `DPoP ${token}`, DPoP: proof };
  }

  #noteKey(id: string): void {
    if (this.#keys.has(id)) return;
    this.#keys.add(id);
    this.#newestKey = { id, atMs: Date.now() };
  }

  #note({ status, expires }: LicenseAnswer): void {
    if (status === 200) this.#answers.licenses++;
    else this.#answers.refusals++;
    this.#answers.expiresMs = parseExpiry(expires) ?? this.#answers.expiresMs;
  }
}

async function refusalOf(response: Response): Promise<string> {
  const problem = (await response.json().catch(() => ({}))) as {
    readonly title?: string;
    readonly detail?: string;
  };
  return problem.detail ?? problem.title ?? `the server answered ${response.status}`;
}
