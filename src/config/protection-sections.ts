import { choice, flag, integer, optionalUrl, text, words } from './field.ts';
import { addressBlockList, countryList } from './address-block-field.ts';
import { tokenIssuers } from './token-issuers.ts';
import type { Section } from './schema.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Configuration of encryption, logins and licences. */
export const protectionSections = {
  drm: {
    enabled: flag(
      false,
      'Whether live streams are encrypted (Common Encryption) and their keys given out by the licence server.',
    ),
    scheme: choice(
      ['cbcs', 'cenc'],
      'cbcs',
      'How: `cbcs` (AES-CBC in a pattern) plays everywhere today, `cenc` (AES-CTR) on older Widevine and PlayReady devices; FairPlay knows only cbcs.',
    ),
    rotationSeconds: integer(
      300,
      { min: 10, max: 86_400 },
      'Length of a crypto period: how often a live stream changes its keys. Counted from 1970, so a restart goes on in it. Segments below 1.4 s allow less than a day.',
    ),
    leadSeconds: integer(
      30,
      { min: 2, max: 3600 },
      'How long before its period the next key is made and may be asked for; at most one period.',
    ),
    clearAudio: flag(false, 'Whether sound stays in the clear.'),
    systems: words(
      ['clearkey', 'widevine', 'playready', 'fairplay'],
      'clearkey',
      'DRM systems that players are told of, in this order. Clear Key is answered by this server, and is no protection against the viewer.',
    ),
    licenseUrls: {
      clearkey: text(
        '/license/clearkey',
        'Where players get Clear Key licences: a URL, or a path on the server that the manifest comes from. `{kid}` stands for the key ID. Empty: players are not told.',
        { optional: true },
      ),
      widevine: text('', 'The same for Widevine.', { optional: true }),
      playready: text(
        '',
        'The same for PlayReady; only a whole URL also goes into the PlayReady header (LA_URL).',
        { optional: true },
      ),
      fairplay: text(
        'skd://{kid}',
        'The skd URI of a FairPlay key; it must have `{kid}`, by which players know which key it is.',
      ),
    },
    widevineProvider: text('', 'Name of the content owner in the Widevine header; empty: none.', {
      optional: true,
    }),
    kekPath: text(
      '',
      'File of the keys that content keys are encrypted with at rest, readable by its owner only: 32 random bytes a line in hex or base64, the newest last. Empty: `secrets/content-kek.keys` in the data folder, made at first start. Relative to the working directory.',
      { optional: true },
    ),
    kek: text(
      '',
      'Those keys themselves, with spaces between them, for the environment (HEADWATER_DRM__KEK); a command line can be read by everybody on the machine.',
      { optional: true, secret: true },
    ),
    maxKeySets: integer(
      100_000,
      { min: 100, max: 10_000_000 },
      'Sets of keys held, one a stream or title and crypto period; at the limit no new ones are made, and what needs one is not sent.',
    ),
    speke: {
      url: optionalUrl(
        'Key server that content keys come from (SPEKE 2.0), in the place of our own random ones; https, unless it is on this machine or keys come encrypted. Empty: we make them.',
      ),
      authHeader: text('Authorization', 'Header that the key server takes its credential in.'),
      authPath: text(
        '',
        'File with the whole value of that header (`Bearer …`), readable by its owner only; empty: no such header. Relative to the working directory.',
        { optional: true },
      ),
      contentIdPrefix: text('', 'Put before `live/<stream>` or `vod/<title>` in the contentId it is told.', {
        optional: true,
      }),
      certPath: text(
        '',
        'RSA certificate (PEM) that the key server is to encrypt keys for; keys in the clear are then refused. Empty: TLS alone protects them.',
        { optional: true },
      ),
      keyPath: text('', 'Its private key (PEM, no passphrase), readable by its owner only.', {
        optional: true,
      }),
    },
  },
  auth: {
    issuers: tokenIssuers(
      'none',
      'Whose tokens count, besides those of `headwater token`: `iss=…,aud=…,jwks=URL` or `key=FILE` (a public key, or a secret for HS256), `alg=ES256+RS256`, `use=login` (begin sessions), `playback` (get licences) or `login+playback`; several with spaces between.',
    ),
    trustedProxies: addressBlockList(
      "Proxies in front of the licence server: their X-Forwarded-For, -Proto and -Host, and `license.countryHeader`, are believed, nobody else's.",
    ),
  },
  license: {
    enabled: flag(true, 'Whether licences, and playback sessions for them, are served on the control port.'),
    publicUrl: optionalUrl(
      'How players reach the control port, for example https://play.example.com; licence URLs and the proofs of devices name it. Empty: as each request does.',
    ),
    mediaUrl: optionalUrl('Where the manifests of sessions are, for example a CDN. Empty: as `publicUrl`.'),
    deviceProof: choice(
      ['required', 'optional', 'off'],
      'optional',
      "Whether sessions are bound to a key of the device, which each licence request must prove (DPoP): always, when the player has one, or only when the player's login token has. A token that names a device is held to it in any case.",
    ),
    proofNonce: flag(
      false,
      'Whether proofs must carry a nonce of ours (one more round trip), for devices whose clocks cannot be believed.',
    ),
    tokenAlgorithm: choice(
      ['HS256', 'ES256', 'EdDSA'],
      'EdDSA',
      'What new keys of our own tokens sign with; keys change after 30 days, but not where servers share a Redis. HS256 is the cheapest and only for this server to check.',
    ),
    maxSessions: integer(
      3,
      { min: 1, max: 1000 },
      'Sessions of one user at once, unless its token says otherwise (`maxSessions`); one more is answered 409.',
    ),
    heartbeatSeconds: integer(30, { min: 1, max: 600 }, 'How often players are asked to report.'),
    sessionTtlSeconds: integer(
      90,
      { min: 2, max: 3600 },
      'A session that has not reported for this long is over and its place free.',
    ),
    maxSessionSeconds: integer(86_400, { min: 60, max: 86_400 }, 'Longest session.'),
    maxLicenseSeconds: integer(86_400, { min: 10, max: 86_400 }, 'Longest licence.'),
    tokenSeconds: integer(
      600,
      { min: 30, max: 86_400 },
      'Life of a playback token; each report of a session brings a new one.',
    ),
    pathTokenSeconds: integer(
      14_400,
      { min: 60, max: 86_400 },
      "Life of the token in a session's manifest URLs; each report of a session brings new ones.",
    ),
    foreignIdleSeconds: integer(
      900,
      { min: 30, max: 86_400 },
      "A session that a back end's own playback token began with a licence is over when no further one is asked for this long.",
    ),
    maxKeysPerLicense: integer(
      64,
      { min: 8, max: 1024 },
      'Keys in one licence; at the limit those asked for come first.',
    ),
    maxPerAddressPerSecond: integer(
      20,
      { min: 0, max: 1_000_000 },
      'Licence requests a second of one address (one /64 of IPv6), three times as many at once; more are answered 429. 0 sets no limit.',
    ),
    maxPerSessionPerSecond: integer(
      20,
      { min: 0, max: 1_000_000 },
      'The same of one session. Shaka Player asks for every key of the window by itself when it starts.',
    ),
    maxSessionCallsPerAddressPerSecond: integer(
      20,
      { min: 0, max: 1_000_000 },
      'Sessions begun, reported and ended a second by one address; more are answered 429. 0 sets no limit.',
    ),
    allowAddresses: addressBlockList('Where may be played: only here. None: anywhere.'),
    denyAddresses: addressBlockList('Where may not be played.'),
    countryHeader: text(
      '',
      "Header in which a trusted proxy gives the viewer's country, for example CF-IPCountry.",
      { optional: true },
    ),
    allowCountries: countryList(
      'Countries where may be played; who comes from an unknown one is refused. None: anywhere.',
    ),
    denyCountries: countryList(
      'Countries where may not be played; who comes from an unknown one is refused.',
    ),
    vendor: {
      timeoutMs: integer(
        5000,
        { min: 100, max: 60_000 },
        'Time a DRM service or key server outside has for its whole answer; past it the player is answered 503.',
      ),
      maxConcurrent: integer(
        64,
        { min: 1, max: 10_000 },
        'Calls to such services under way at once; 256 more may wait within `timeoutMs`.',
      ),
      maxFailures: integer(
        5,
        { min: 1, max: 1000 },
        'A service that fails so often in a row is not asked for a while: players are answered 503 at once.',
      ),
      pauseMs: integer(
        5000,
        { min: 100, max: 600_000 },
        'That while; doubled up to a minute as long as the service goes on failing.',
      ),
      maxChallengeBytes: integer(
        64 * KIB,
        { min: 1 * KIB, max: 1 * MIB },
        'Longest challenge of Widevine, PlayReady or FairPlay; a longer one is answered 413.',
      ),
    },
    widevine: {
      url: optionalUrl(
        "Widevine's licence service with the provider at its end (https://license.widevine.com/cenc/getlicense/<provider>); empty: no Widevine licences (see docs/drm-vendors.md).",
      ),
      provider: text('', 'Name of the provider, as registered with the service.', { optional: true }),
      signingKeyPath: text(
        '',
        "File with the provider's AES key (32 bytes: raw, hex or base64), readable by its owner only. Relative to the working directory.",
        { optional: true },
      ),
      signingIvPath: text('', "The same for the provider's IV (16 bytes).", { optional: true }),
      renewSeconds: integer(
        300,
        { min: 0, max: 86_400 },
        'Players ask again after this time, and who is refused then stops within a minute; 0: one licence for the whole time.',
      ),
      renewalUrl: optionalUrl('Where players are told to ask again; empty: they ask where they asked first.'),
    },
    playready: {
      url: optionalUrl('PlayReady licence server (…/rightsmanager.asmx); empty: no PlayReady licences.'),
      entitlementHeader: text(
        'X-Headwater-Entitlement',
        'Header in which the licence server is told what policy grants (a JWT).',
      ),
      entitlementKeyPath: text(
        '',
        'File with the key that this token is signed with, or encrypted when it carries content keys (32 bytes: raw, hex or base64), readable by its owner only. Relative to the working directory.',
        { optional: true },
      ),
      sendKeys: flag(
        false,
        'Whether the token carries the content keys; if not, the licence server has them from elsewhere (SPEKE).',
      ),
    },
    fairplay: {
      url: optionalUrl('FairPlay key security module (KSM); empty: no FairPlay licences.'),
      format: choice(
        ['binary', 'form'],
        'binary',
        'How the module takes the SPC: as it is, or as base64 in the form field `spc`.',
      ),
      entitlementHeader: text('X-Headwater-Entitlement', 'As for PlayReady.'),
      entitlementKeyPath: text('', 'As for PlayReady.', { optional: true }),
      sendKeys: flag(true, 'As for PlayReady.'),
    },
    speke: {
      enabled: flag(
        false,
        'Whether packagers elsewhere get keys here (`POST /speke/v2` on the control port, SPEKE 2.0).',
      ),
      apiKeysPath: text(
        '',
        'File with their API keys, 32 characters or more, one a line, readable by its owner only; empty: only the admin token counts. Relative to the working directory.',
        { optional: true },
      ),
      requireEncryption: flag(
        false,
        'Whether a request must name a certificate that its keys are encrypted for.',
      ),
      maxDocumentBytes: integer(
        256 * KIB,
        { min: 4 * KIB, max: 1 * MIB },
        'Longest request; a longer one is answered 413.',
      ),
    },
  },
} as const satisfies Section;
