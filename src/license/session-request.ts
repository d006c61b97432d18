import type { KeyOwner } from '../drm/content-key.ts';
import { type DeviceJwk, parseDeviceJwk } from './jwk-thumbprint.ts';
import { parseContent } from './playback-claims.ts';
import { DEFAULT_PROFILE } from './resume/resume-request.ts';
import { isRobustness, LICENSE_SYSTEMS, type LicenseSystem, type Robustness } from './tiers.ts';

/** What a player says to begin a session. */
export interface SessionRequest {
  readonly owner: KeyOwner;
  /** Public key of the device. */
  readonly device: DeviceJwk | undefined;
  /** What the device says of itself. */
  readonly robustness: Robustness;
  /** The system whose licences it will ask for. */
  readonly drm: LicenseSystem;
  /** A session of the same user to end for this one. */
  readonly replaces: string | undefined;
  /** Whose place in the title is wanted: one of the user's profiles. */
  readonly profile: string;
}

const SESSION_ID = /^[A-Za-z0-9_-]{1,64}$/;
/** Path of a presentation, in a URL of any host: `/live/studio/index.m3u8`, `/t/…/vod/film/`. */
const PLAYBACK_PATH = /(?:^|\/)(live|vod)\/([A-Za-z0-9_-]{1,64})(?:\/[^/]*)?$/;

/**
 * Reads the body of `POST /v1/sessions`:
 * `{"content": {"kind": "live"|"vod", "id": "…"} | "url": "…", "device"?, "robustness"?, "drm"?, "replaces"?, "profile"?}`.
 * A sentence says what is wrong with it.
 */
export function parseSessionRequest(body: Uint8Array): SessionRequest | { readonly problem: string } {
  const json = parseJson(body);
  if (json === undefined) return { problem: 'expected a JSON object' };
  const owner = parseOwner(json);
  if (owner === undefined) {
    return {
      problem: 'expected "content" with "kind" (live or vod) and "id", or the "url" of what is to be played',
    };
  }
  const { robustness = 'L3', drm = 'clearkey', replaces } = json;
  if (!isRobustness(robustness)) return { problem: 'expected "robustness" to be L1, L2 or L3' };
  const system = LICENSE_SYSTEMS.find((each) => each === drm);
  if (system === undefined) return { problem: `expected "drm" to be one of ${LICENSE_SYSTEMS.join(', ')}` };
  if (replaces !== undefined && (typeof replaces !== 'string' || !SESSION_ID.test(replaces))) {
    return { problem: 'expected "replaces" to be the id of a session' };
  }
  const device = json['device'] === undefined ? undefined : parseDeviceJwk(json['device']);
  if (json['device'] !== undefined && device === undefined) {
    return { problem: 'expected "device" to be a public key as a JWK: EC, P-256, without its private part' };
  }
  const { profile = DEFAULT_PROFILE } = json;
  if (typeof profile !== 'string' || !SESSION_ID.test(profile)) {
    return { problem: 'expected "profile" to be 1 to 64 characters of A-Z a-z 0-9 - _' };
  }
  return { owner, device, robustness, drm: system, replaces, profile };
}

function parseOwner({ content, url }: Readonly<Record<string, unknown>>): KeyOwner | undefined {
  if (typeof content === 'object' && content !== null && 'kind' in content && 'id' in content) {
    return url === undefined ? parseContent(`${String(content.kind)}/${String(content.id)}`) : undefined;
  }
  if (content !== undefined || typeof url !== 'string' || url.length > 2048) return undefined;
  const path = URL.parse(url, 'http://unused.invalid')?.pathname ?? '';
  const [, kind, id] = PLAYBACK_PATH.exec(path) ?? [];
  return kind === undefined || id === undefined ? undefined : parseContent(`${kind}/${id}`);
}

function parseJson(body: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Readonly<Record<string, unknown>>)
      : undefined;
  } catch {
    return undefined;
  }
}
