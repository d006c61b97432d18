import { byId, setText } from './dom.ts';
import type { SessionStatus } from '../sdk/session.ts';

const UNKNOWN = '–';
const WORDS: Readonly<Record<string, string>> = {
  AUDIO: 'sound',
  SD: 'SD',
  HD: 'HD',
  UHD: 'UHD',
};

/** The page's card on licences: what the session may have, which key is newest, and how long it all lasts. */
export class ProtectionCard {
  readonly #status: () => SessionStatus | undefined;
  readonly #card = byId('protection', HTMLElement);
  readonly #tiers = byId('figure-tiers', HTMLElement);
  readonly #licenses = byId('figure-licenses', HTMLElement);
  readonly #key = byId('figure-key', HTMLElement);
  readonly #keys = byId('figure-keys', HTMLElement);
  readonly #licenseEnd = byId('figure-license-end', HTMLElement);
  readonly #sessionEnd = byId('figure-session-end', HTMLElement);

  constructor(status: () => SessionStatus | undefined) {
    this.#status = status;
  }

  /** Shows what is so now; to be called twice a second. */
  update(): void {
    const status = this.#status();
    this.#card.hidden = status === undefined;
    if (!status) return;
    const { tiers, licenses, refusals, newestKey, keys, licenseExpiresMs, expiresMs } = status;
    const nowMs = Date.now();
    setText(this.#tiers, tiers.map((tier) => WORDS[tier] ?? tier).join(', '));
    setText(this.#licenses, refusals === 0 ? String(licenses) : `${licenses}, ${refusals} refused`);
    setText(
      this.#key,
      newestKey ? `${newestKey.id.slice(0, 6)}…, ${timeSpan(nowMs - newestKey.atMs)} old` : UNKNOWN,
    );
    setText(this.#keys, String(keys));
    setText(this.#licenseEnd, licenseExpiresMs === undefined ? UNKNOWN : timeSpan(licenseExpiresMs - nowMs));
    setText(this.#sessionEnd, timeSpan(expiresMs - nowMs));
  }
}

/** `3 h 5 min`, `12 min`, `8 s`. */
export function timeSpan(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
