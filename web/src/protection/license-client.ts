/** What became of one licence request. */
export interface LicenseAnswer {
  readonly status: number;
  /** Value of {@link EXPIRES_HEADER}. */
  readonly expires: string | null;
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
