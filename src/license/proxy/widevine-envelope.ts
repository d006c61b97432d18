import { createCipheriv, createHash } from 'node:crypto';
import type { OutputProtection } from '../tiers.ts';
import type { Grant, OpenKey } from './proxy.ts';

/** What signs requests to the service; both are the provider's secrets. */
export interface WidevineSigner {
  /** The provider's name, as registered. */
  readonly provider: string;
  /** AES-256. */
  readonly key: Uint8Array;
  /** 16 bytes. */
  readonly iv: Uint8Array;
}

export interface WidevinePolicy {
  /** The player asks again after this time; 0: its licence lasts as long as policy allows, without renewals. */
  readonly renewSeconds: number;
  /** Where renewals go; '' leaves it to the player, which asks where it asked first. */
  readonly renewalUrl: string;
}

/** No licence lasts longer, whatever is asked for; 0 would be for ever (spec of the cloud service). */
const MAX_LICENSE_SECONDS = 86_400;
const RENEWAL_RETRY_SECONDS = 10;
/** How long a player may go on while its renewals are not answered. */
const RENEWAL_RECOVERY_SECONDS = 60;

/**
 * How a key of each tier must be guarded: 1 software, 3 keys in hardware, 5 the whole path in hardware. An L3 device
 * satisfies 1 and 2, L1 also 3 to 5: the service gives it no key of a higher level.
 */
const TRACKS = {
  AUDIO: { type: 'AUDIO', securityLevel: 1 },
  SD: { type: 'SD', securityLevel: 1 },
  HD: { type: 'HD', securityLevel: 3 },
  UHD: { type: 'UHD1', securityLevel: 5 },
} as const;

const HDCP: Readonly<Record<OutputProtection, string>> = {
  none: 'HDCP_NONE',
  hdcp1: 'HDCP_V1',
  'hdcp2.2': 'HDCP_V2_2',
};

/** The message to the service, before it is signed. */
export function widevinePayload(
  challenge: Uint8Array,
  grant: Grant,
  keys: readonly OpenKey[],
  provider: string,
  policy: WidevinePolicy,
): string {
  const { owner, id } = grant.session;
  return JSON.stringify({
    payload: base64(challenge),
    content_id: base64(Buffer.from(`${owner.kind}/${owner.id}`)),
    provider,
    content_key_specs: keys.map(keySpec),
    use_policy_overrides_exclusively: true,
    policy_overrides: policyOverrides(Math.floor(grant.ttlMs / 1000), policy),
    session_init: { provider_session_token: base64(Buffer.from(id)) },
  });
}

/** The message for a service certificate: it opens nothing and names no key. */
export function certificatePayload(challenge: Uint8Array, provider: string): string {
  return JSON.stringify({ payload: base64(challenge), provider });
}

function keySpec({ granted, content }: OpenKey): Readonly<Record<string, unknown>> {
  const { type, securityLevel } = TRACKS[granted.tier];
  return {
    track_type: type,
    security_level: securityLevel,
    required_output_protection: { hdcp: HDCP[granted.output] },
    key: base64(content.key),
    key_id: base64(content.kid),
  };
}

function policyOverrides(
  ttlSeconds: number,
  { renewSeconds, renewalUrl }: WidevinePolicy,
): Readonly<Record<string, unknown>> {
  const wholeSeconds = bounded(ttlSeconds);
  const renews = renewSeconds > 0 && renewSeconds < wholeSeconds;
  return {
    can_play: true,
    can_persist: false,
    can_renew: renews,
    // With renewals the licence itself is short: one that is refused ends playback soon.
    license_duration_seconds: renews
      ? bounded(Math.min(wholeSeconds, renewSeconds + RENEWAL_RECOVERY_SECONDS))
      : wholeSeconds,
    rental_duration_seconds: wholeSeconds,
    playback_duration_seconds: wholeSeconds,
    ...(renews && {
      ...(renewalUrl !== '' && { renewal_server_url: renewalUrl }),
      renewal_delay_seconds: renewSeconds,
      renewal_retry_interval_seconds: RENEWAL_RETRY_SECONDS,
      renewal_recovery_duration_seconds: RENEWAL_RECOVERY_SECONDS,
      renew_with_usage: false,
    }),
  };
}

function bounded(seconds: number): number {
  return Math.min(MAX_LICENSE_SECONDS, Math.max(1, seconds));
}

/** The signed request. The signature is over the very bytes that are sent: AES-256-CBC of their SHA-1. */
export function widevineEnvelope(payload: string, { provider, key, iv }: WidevineSigner): string {
  const bytes = Buffer.from(payload);
  const cipher = createCipheriv('aes-256-cbc', key, iv);
  const signature = Buffer.concat([cipher.update(createHash('sha1').update(bytes).digest()), cipher.final()]);
  return JSON.stringify({ request: base64(bytes), signature: base64(signature), signer: provider });
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
