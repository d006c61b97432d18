import { createDecipheriv, createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { contentKey, grantFor, type GrantOptions } from '../../../test/support/license-grant.ts';
import type { Robustness } from '../tiers.ts';
import { certificatePayload, widevineEnvelope, widevinePayload } from './widevine-envelope.ts';

const SIGNER = { provider: 'acme', key: Buffer.alloc(32, 1), iv: Buffer.alloc(16, 2) };
const CHALLENGE = Buffer.from('challenge');
const NO_RENEWALS = { renewSeconds: 0, renewalUrl: '' };

function payload(robustness: Robustness, options: GrantOptions = {}, policy = NO_RENEWALS): string {
  const grant = grantFor(robustness, options);
  const keys = grant.keys.map((granted) => ({ granted, content: contentKey(granted.entry) }));
  return widevinePayload(CHALLENGE, grant, keys, SIGNER.provider, policy);
}

const base64 = (hex: string): string => Buffer.from(hex, 'hex').toString('base64');
const spec = (type: string, level: number, hdcp: string, byte: string, keyByte: string): object => ({
  track_type: type,
  security_level: level,
  required_output_protection: { hdcp },
  key: base64(`${keyByte.repeat(15)}fe`),
  key_id: base64(`${byte.repeat(15)}01`),
});
const AUDIO = spec('AUDIO', 1, 'HDCP_NONE', 'a0', '5f');
const SD = spec('SD', 1, 'HDCP_NONE', '50', 'af');
const HD = spec('HD', 3, 'HDCP_V1', 'd0', '2f');
const UHD = spec('UHD1', 5, 'HDCP_V2_2', 'e0', '1f');

const common = {
  payload: 'Y2hhbGxlbmdl',
  content_id: 'bGl2ZS9zdHVkaW8=',
  provider: 'acme',
  use_policy_overrides_exclusively: true,
  session_init: { provider_session_token: 'c2Vzc2lvbi0x' },
};
const anHour = {
  can_play: true,
  can_persist: false,
  can_renew: false,
  license_duration_seconds: 3600,
  rental_duration_seconds: 3600,
  playback_duration_seconds: 3600,
};

describe('the message to the Widevine service', () => {
  it.each([
    ['L1', {}, [AUDIO, SD, HD, UHD]],
    ['L2', {}, [AUDIO, SD, HD]],
    ['L3', {}, [AUDIO, SD]],
    ['L1', { tiers: ['AUDIO'] }, [AUDIO]],
    ['L3', { tiers: ['AUDIO'] }, [AUDIO]],
  ] as const)('of a %s session on %j lists these keys', (robustness, options, specs) => {
    expect(JSON.parse(payload(robustness, options))).toEqual({
      ...common,
      content_key_specs: specs,
      policy_overrides: anHour,
    });
  });

  it('of an L3 session has no HD key in any form', () => {
    const text = payload('L3', { periods: [1, 2, 3] });
    for (const byte of [0xd0, 0xe0]) {
      const key = Buffer.alloc(15, byte ^ 0xff);
      expect(text).not.toContain(key.toString('base64').slice(0, 16));
      expect(text).not.toContain(Buffer.alloc(15, byte).toString('base64').slice(0, 16));
    }
  });

  it('makes a licence short where it is renewed, and bounds the whole', () => {
    const renewed = payload(
      'L3',
      {},
      { renewSeconds: 300, renewalUrl: 'https://a.example/license/widevine' },
    );
    expect(JSON.parse(renewed)).toMatchObject({
      policy_overrides: {
        can_renew: true,
        license_duration_seconds: 360,
        rental_duration_seconds: 3600,
        playback_duration_seconds: 3600,
        renewal_server_url: 'https://a.example/license/widevine',
        renewal_delay_seconds: 300,
        renewal_retry_interval_seconds: 10,
        renewal_recovery_duration_seconds: 60,
        renew_with_usage: false,
      },
    });
    // What ends before the first renewal needs none.
    expect(
      JSON.parse(payload('L3', { ttlMs: 200_000 }, { renewSeconds: 300, renewalUrl: '' })),
    ).toMatchObject({
      policy_overrides: { can_renew: false, license_duration_seconds: 200 },
    });
  });

  it.each([
    [0, 1],
    [-5000, 1],
    [900, 1],
    [86_400_000, 86_400],
    [900_000_000, 86_400],
  ])('never asks for an endless licence: %i ms are %i s', (ttlMs, seconds) => {
    const { policy_overrides: policy } = JSON.parse(payload('L3', { ttlMs })) as {
      policy_overrides: Record<string, unknown>;
    };
    expect([
      policy['license_duration_seconds'],
      policy['rental_duration_seconds'],
      policy['playback_duration_seconds'],
    ]).toEqual([seconds, seconds, seconds]);
  });

  it('for a certificate names no key', () => {
    expect(certificatePayload(Buffer.from([8, 4]), 'acme')).toBe('{"payload":"CAQ=","provider":"acme"}');
  });

  it('is signed over the bytes that are sent', () => {
    const message = payload('L1');
    const { request, signature, signer } = JSON.parse(widevineEnvelope(message, SIGNER)) as Record<
      string,
      string
    >;
    const decipher = createDecipheriv('aes-256-cbc', SIGNER.key, SIGNER.iv);
    const digest = Buffer.concat([decipher.update(signature ?? '', 'base64'), decipher.final()]);
    expect(Buffer.from(request ?? '', 'base64').toString()).toBe(message);
    expect(digest).toEqual(createHash('sha1').update(message).digest());
    expect(signer).toBe('acme');
  });

  it('has the signature that openssl gives for a known message', () => {
    // printf '{"payload":"CAQ=","provider":"acme"}' | openssl sha1 -binary | openssl enc -aes-256-cbc -K 01… -iv 02…
    const envelope = JSON.parse(
      widevineEnvelope(certificatePayload(Buffer.from([8, 4]), 'acme'), SIGNER),
    ) as Record<string, string>;
    expect(envelope['signature']).toBe('wYyfocWw+QRjLsa+o0429By1kQbGhAOlySTvhPP+VTU=');
  });
});
