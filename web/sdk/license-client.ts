/** What became of one licence request. */
export interface LicenseAnswer {
  readonly status: number;
  /** Value of {@link EXPIRES_HEADER}. */
  readonly expires: string | null;
  /** Value of {@link NONCE_HEADER}. */
  readonly nonce?: string | null;
}

/** What players need to be given licences, and to go on fetching while tokens are renewed. */
export interface LicenseClient {
  readonly url: URL;
  /** Headers of one licence request with this body: a proof is good for one. */
  headers(body: Uint8Array): Promise<Readonly<Record<string, string>>>;
  /** The same URL with the path token of now. */
  freshUrl(url: string): string;
  /** To be told of each answer. */
  answered(answer: LicenseAnswer): void;
}

/** Response header with the end of a licence: Clear Key has no place for it. */
export const EXPIRES_HEADER = 'x-license-expires';
/** Response header with the nonce that the next proof must have. */
export const NONCE_HEADER = 'dpop-nonce';

/** What licences came to so far. */
export interface LicenseStatus {
  /** Licences given, and requests refused. */
  readonly licenses: number;
  readonly refusals: number;
  /** When the newest licence ends, ms since the Unix epoch. */
  readonly licenseExpiresMs: number | undefined;
  /** Different keys that licences were asked for; each change of keys adds some. */
  readonly keys: number;
  /** The newest of them, base64url, and when it was asked for first. */
  readonly newestKey: { readonly id: string; readonly atMs: number } | undefined;
}

/** Counts licences. */
export class LicenseCounter {
  readonly #keys = new Set<string>();
  readonly #nowMs: () => number;
  #newestKey: LicenseStatus['newestKey'];
  #licenses = 0;
  #refusals = 0;
  #expiresMs: number | undefined;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  get status(): LicenseStatus {
    return {
      licenses: this.#licenses,
      refusals: this.#refusals,
      licenseExpiresMs: this.#expiresMs,
      keys: this.#keys.size,
      newestKey: this.#newestKey,
    };
  }

  /** A request with this body goes out. */
  asked(body: Uint8Array): void {
    for (const id of keyIdsAsked(body)) {
      if (this.#keys.has(id)) continue;
      this.#keys.add(id);
      this.#newestKey = { id, atMs: this.#nowMs() };
    }
  }

  answered({ status, expires }: LicenseAnswer): void {
    if (status === 200) this.#licenses++;
    else this.#refusals++;
    this.#expiresMs = parseExpiry(expires) ?? this.#expiresMs;
  }
}

/** Reads the end of a licence, ms since the Unix epoch. */
export function parseExpiry(text: string | null): number | undefined {
  const ms = text === null ? Number.NaN : Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
}

/** The key ids that a Clear Key licence request names; none where it is another system's. */
export function keyIdsAsked(body: Uint8Array): readonly string[] {
  try {
    const { kids } = JSON.parse(new TextDecoder().decode(body)) as { readonly kids?: unknown };
    return Array.isArray(kids) ? kids.filter((kid) => typeof kid === 'string') : [];
  } catch {
    return [];
  }
}
