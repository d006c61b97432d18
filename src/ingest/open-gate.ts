import type { Clock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import { errorCode } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import {
  type Authoriser,
  createKeyAuthoriser,
  createKeyOrTokenAuthoriser,
  createOpenAuthoriser,
  withSrtPassphrase,
} from './authorise.ts';
import { GateMetrics } from './gate-metrics.ts';
import type { IngestAuth, IngestOptions, JwtOptions, WebhookOptions } from './ingest-options.ts';
import { algorithmList, createJwtAuthoriser } from './jwt-authoriser.ts';
import { JwksUrlKeys, PublicKeyFile, SharedSecretFile, type TokenKeys } from '../base/token-keys.ts';
import { OutgoingHttp } from '../base/outgoing-http.ts';
import { PublishGate } from './publish-gate.ts';
import type { PublishKeys } from './publish-keys.ts';
import type { PublishTarget } from './publish-target.ts';
import { readTextSecretFile } from '../base/secret-file.ts';
import { createWebhookAuthoriser, type WebhookTarget } from './webhook-authoriser.ts';
import { WEBHOOK_SHAPES } from './webhook-formats.ts';
import { WebhookNotifier } from './webhook-notifier.ts';

export interface IngestGateDeps {
  readonly keys: PublishKeys;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Cryptographically strong. */
  readonly randomBytes: (size: number) => Uint8Array;
}

/** Who may publish, and for how long: made before anything is opened, usable from `open()` to `close()`. */
export interface IngestGate {
  readonly authoriser: Authoriser;
  /** The hub as protocols may use it: publishers whose grant is taken back are cut. */
  guard(target: PublishTarget): PublishTarget;
  /** Reads the secrets and keys that are needed. @throws AppError when one is missing or unsafe */
  open(): Promise<void>;
  /** Waits a little for the webhook to hear of publishers that ended. Idempotent. */
  close(): Promise<void>;
}

/** Answers of a webhook are a few words; key sets have a few keys. */
const MAX_ANSWER_BYTES = 16 * 1024;
const MAX_KEY_SET_BYTES = 256 * 1024;
/** Calls that wait for their turn: a burst of publishers after a restart. */
const MAX_WAITING_CALLS = 256;
const KEY_SET_TIMEOUT_MS = 2_000;
/** Ends of publishes that are told at once; they never take the turn of somebody who asks to publish. */
const MAX_NOTIFICATIONS = 4;
/** Shortest secret that signs our own format; those of other servers are as long as they were there. */
const MIN_SECRET_BYTES = 32;

/** The part of a gate that is particular to how publishers are let in. */
interface Door {
  readonly authoriser: Authoriser;
  readonly notifier?: WebhookNotifier;
  open(): Promise<void>;
  close(): void;
}

type DoorDeps = Omit<IngestGateDeps, 'metrics'> & { readonly metrics: GateMetrics };

/** Makes the gate that `ingest.auth` asks for. Touches nothing yet. */
export function createIngestGate(options: IngestOptions, deps: IngestGateDeps): IngestGate {
  const { keys, clock, log } = deps;
  const metrics = new GateMetrics(deps.metrics);
  const door = DOORS[options.auth](options, { ...deps, metrics });
  const { notifier } = door;
  const gate = new PublishGate({
    authoriser: withSrtPassphrase(door.authoriser, keys),
    clock,
    log,
    metrics,
    onEnded: (ended, another) => {
      // Back ends made for servers that know no takeover would take the old one's end for the stream's.
      if (!another || options.webhook.format === 'headwater') notifier?.ended(ended);
    },
  });
  let unwatch: (() => void) | undefined;
  return {
    authoriser: gate,
    guard: (target) => gate.guard(target),
    async open() {
      await door.open();
      unwatch = keys.watch({
        onChange: (stream, change) => gate.keyChanged(stream, change),
        onFailure: (error) => {
          metrics.keyLookFailed();
          log.error({ code: errorCode(error), err: error }, 'publish keys cannot be read');
        },
      });
    },
    async close() {
      unwatch?.();
      await notifier?.close();
      gate.close();
      door.close();
    },
  };
}

const DOORS: Readonly<Record<IngestAuth, (options: IngestOptions, deps: DoorDeps) => Door>> = {
  keys: (_options, deps) => keyDoor(deps),
  jwt: ({ jwt }, deps) => tokenDoor(jwt, deps),
  'keys+jwt': ({ jwt }, deps) => keyOrTokenDoor(keyDoor(deps), tokenDoor(jwt, deps)),
  webhook: ({ webhook }, deps) => webhookDoor(webhook, deps),
  none: () => ({ authoriser: createOpenAuthoriser(), open: async () => {}, close: () => {} }),
};

function keyOrTokenDoor(byKey: Door, byToken: Door): Door {
  return {
    authoriser: createKeyOrTokenAuthoriser(byKey.authoriser, byToken.authoriser),
    open: async () => {
      await byKey.open();
      await byToken.open();
    },
    close: () => byToken.close(),
  };
}

function keyDoor({ keys }: DoorDeps): Door {
  return { authoriser: createKeyAuthoriser(keys), open: () => keys.verify(), close: () => {} };
}

function tokenDoor(options: JwtOptions, { clock, metrics }: DoorDeps): Door {
  const http = new OutgoingHttp(
    { timeoutMs: KEY_SET_TIMEOUT_MS, maxAnswerBytes: MAX_KEY_SET_BYTES, maxConcurrent: 1, maxWaiting: 1 },
    clock,
  );
  const keys = tokenKeys(options, http, clock, metrics);
  return {
    authoriser: createJwtAuthoriser(options, { keys, clock }),
    open: () => keys.verify(),
    close: () => http.close(),
  };
}

function tokenKeys(options: JwtOptions, http: OutgoingHttp, clock: Clock, metrics: GateMetrics): TokenKeys {
  if (options.jwksUrl !== '') {
    return new JwksUrlKeys(options.jwksUrl, {
      http,
      clock,
      onFetch: (outcome) => metrics.jwksFetched(outcome),
      unavailable: () =>
        new AppError('INGEST_AUTH_UNAVAILABLE', 'the key set for publish tokens cannot be fetched'),
    });
  }
  const shared = algorithmList(options.algorithms).some((name) => name.startsWith('HS'));
  return shared ? new SharedSecretFile(options.keyPath) : new PublicKeyFile(options.keyPath);
}

function webhookDoor(options: WebhookOptions, { clock, log, metrics, randomBytes }: DoorDeps): Door {
  const { url, unpublishUrl, format, secretPath, timeoutMs, maxConcurrent, app, publicHost, pathPrefix } =
    options;
  const limits = { timeoutMs, maxAnswerBytes: MAX_ANSWER_BYTES };
  const http = new OutgoingHttp({ ...limits, maxConcurrent, maxWaiting: MAX_WAITING_CALLS }, clock);
  const endHttp = new OutgoingHttp(
    { ...limits, maxConcurrent: MAX_NOTIFICATIONS, maxWaiting: Number.POSITIVE_INFINITY },
    clock,
  );
  const shape = WEBHOOK_SHAPES[format];
  const serverId = Buffer.from(randomBytes(4)).toString('hex');
  const setting = { app, publicHost, pathPrefix, serverId, secret: undefined as Uint8Array | undefined };
  const target: WebhookTarget = { url, shape, setting };
  const endUrl = unpublishUrl === '' && shape.oneUrl ? url : unpublishUrl;
  const notifier = new WebhookNotifier(
    { url: endUrl, shape, setting },
    { http: endHttp, clock, log, metrics },
  );
  return {
    authoriser: createWebhookAuthoriser(target, { http, clock, metrics }),
    ...(endUrl !== '' && shape.unpublish !== undefined && { notifier }),
    async open() {
      if (secretPath === '') return;
      setting.secret = await readTextSecretFile(secretPath, format === 'headwater' ? MIN_SECRET_BYTES : 1);
    },
    close() {
      http.close();
      endHttp.close();
    },
  };
}
