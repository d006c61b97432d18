/** How `ingest.auth` decides who may publish. */
export type IngestAuth = 'keys' | 'jwt' | 'keys+jwt' | 'webhook' | 'none';

export const WEBHOOK_FORMATS = ['headwater', 'mediamtx', 'srs', 'nginx-rtmp', 'ome'] as const;
/** Whose requests the webhook sends. */
export type WebhookFormat = (typeof WEBHOOK_FORMATS)[number];

/** `ingest.webhook.*`; an empty text is one that was not given. */
export interface WebhookOptions {
  readonly url: string;
  readonly unpublishUrl: string;
  readonly format: WebhookFormat;
  readonly secretPath: string;
  readonly timeoutMs: number;
  readonly maxConcurrent: number;
  readonly app: string;
  readonly publicHost: string;
  readonly pathPrefix: string;
}

/** `ingest.jwt.*`; an empty text is one that was not given. */
export interface JwtOptions {
  readonly jwksUrl: string;
  readonly keyPath: string;
  /** Names of JWS algorithms with commas between them. */
  readonly algorithms: string;
  readonly issuer: string;
  readonly audience: string;
  readonly leewaySeconds: number;
  readonly permissionsClaim: string;
  readonly cutAtExpiry: boolean;
}

/** The configuration's section `ingest`. */
export interface IngestOptions {
  readonly auth: IngestAuth;
  readonly webhook: WebhookOptions;
  readonly jwt: JwtOptions;
}
