import { createHmac, randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import { readSecretFile } from '../base/secret-file.ts';
import type { Config } from '../config.ts';
import { type AdminAccess, COMMON_HEADERS } from '../control/admin-access.ts';
import type { DocumentedApi } from '../control/openapi.ts';
import { KekFile } from '../drm/kek-file.ts';
import { defaultKekPath } from '../drm/kek-source.ts';
import { parseKeks } from '../drm/kek-text.ts';
import type { Kek } from '../drm/key-wrapper.ts';
import { headerBlock } from '../http/header-block.ts';
import { createRouter } from '../http/router.ts';
import type { HttpHandler } from '../http/types.ts';
import { licenseKeyPath, openTokenRing, SECRET_BYTES, tokenRingPath } from '../license/license-service.ts';
import { timeText } from '../license/license-problem.ts';
import type { Fingerprints, NodeInfo, SharedSecret } from '../state/node-info.ts';
import { NodeWatch, type SeenNode, type SeenNodes } from '../state/node-watch.ts';
import { systemProcesses } from '../state/process-identity.ts';
import type { State } from '../state/open-state.ts';
import { licenseOptions } from './license-options.ts';

export interface NodesDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Closed by whoever opened it, after this. */
  readonly state: Pick<State, 'registry'>;
  readonly adminAccess: AdminAccess;
  /** Of this server. */
  readonly version: string;
}

/** The servers that share their viewers with this one. */
export interface Nodes {
  /** Sentences on what keeps this server from being ready; empty when nothing does. */
  problems(): readonly string[];
  readonly documented: DocumentedApi;
  /** `GET /v1/nodes`; all other calls go to `next`. */
  handler(next: HttpHandler): HttpHandler;
  /** Idempotent. */
  close(): Promise<void>;
}

const PATH = '/v1/nodes';
const JSON_HEADERS = headerBlock([['Content-Type', 'application/json'], ...COMMON_HEADERS]);
/** Of the fingerprint of a key: enough that no two keys have the same. */
const PRINT_BYTES = 16;
const MAX_HOST_NAME = 64;

const string = { type: 'string' };
const time = { ...string, format: 'date-time' };

const DOCUMENTED: DocumentedApi = {
  calls: [
    {
      method: 'GET',
      path: PATH,
      auth: 'admin',
      operationId: 'listNodes',
      summary: 'Servers that share their viewers with this one, and whether their secrets are the same',
      responses: { 200: { description: 'The servers, this one among them', schema: 'NodeList' } },
    },
  ],
  schemas: {
    NodeList: {
      type: 'object',
      properties: {
        seenAt: {
          anyOf: [time, { type: 'null' }],
          description: 'When they were last looked at; older than a quarter of a minute: the state is away',
        },
        nodes: { type: 'array', items: { $ref: '#/components/schemas/Node' } },
      },
      required: ['seenAt', 'nodes'],
    },
    Node: {
      type: 'object',
      properties: {
        id: string,
        isSelf: { type: 'boolean' },
        version: string,
        startedAt: time,
        media: { ...string, description: 'Where it serves media, as configured' },
        control: { ...string, description: 'Where it serves this API, as configured' },
        differs: {
          type: 'array',
          items: string,
          description: 'Secrets (files) that are not those of this server; must be empty',
        },
      },
      required: ['id', 'isSelf', 'version', 'startedAt', 'media', 'control', 'differs'],
    },
  },
};

/**
 * Comes among the servers that share this one's state. To be called when the secrets have been opened, and before
 * anybody is served; the caller closes it.
 * @throws AppError STATE_SECRETS_DIFFER, SECRET_FILE_UNSAFE
 */
export async function openNodes(config: Config, deps: NodesDeps): Promise<Nodes> {
  const { clock, log, metrics, state, adminAccess, version } = deps;
  const processes = systemProcesses();
  const node = `${hostname()
    .replace(/[^A-Za-z0-9_.-]/g, '_')
    .slice(0, MAX_HOST_NAME)}-${randomBytes(4).toString('hex')}`;
  const about = {
    ...{ version, startedMs: clock.wallMs(), process: processes.own },
    media: config.license.mediaUrl || addressOf(config.http),
    control: config.license.publicUrl || addressOf(config.control),
  };
  const fingerprints = await openFingerprints(config, clock);
  const describe = async (): Promise<NodeInfo> => ({ ...about, secrets: await fingerprints() });
  const nameOf = (secret: SharedSecret): string => SECRET_NAMES[secret](config);
  const watch = await NodeWatch.open(
    { node, describe, nameOf },
    { registry: state.registry, processes, clock, log: log.child({ area: 'nodes' }), metrics },
  );
  const own = createRouter([
    {
      method: 'GET',
      path: PATH,
      handler: (request, response) => {
        const refusal = adminAccess(request);
        if (refusal) return response.send(refusal);
        const body = Buffer.from(JSON.stringify(renderNodes(watch.seen, node, nameOf)));
        response.send({ status: 200, headers: JSON_HEADERS, body });
      },
    },
  ]);
  return {
    problems: () => watch.problems(),
    documented: DOCUMENTED,
    handler: (next) => (request, response) => (request.path === PATH ? own : next)(request, response),
    close: () => watch.close(),
  };
}

function addressOf({ host, port }: { readonly host: string; readonly port: number }): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

const SECRET_NAMES: Readonly<Record<SharedSecret, (config: Config) => string>> = {
  licenseKey: ({ dataDir }) => licenseKeyPath(dataDir),
  tokenKeys: ({ dataDir }) => tokenRingPath(dataDir),
  contentKeks: ({ dataDir, drm }) => (drm.kek === '' ? drm.kekPath || defaultKekPath(dataDir) : 'drm.kek'),
};

/** Reads the secrets that this configuration makes use of, each time anew. */
async function openFingerprints(config: Config, clock: Clock): Promise<() => Promise<Fingerprints>> {
  // Nobody else can come to what is in our own files.
  if (config.state.driver !== 'redis') return async () => ({});
  const hasViewers = config.viewers.enabled || config.license.enabled;
  const ring = hasViewers ? await openTokenRing(licenseOptions(config), { clock, randomBytes }) : undefined;
  const dataDir = resolve(config.dataDir);
  return async () => ({
    ...(ring && {
      licenseKey: [print('license key', await readSecretFile(licenseKeyPath(dataDir), SECRET_BYTES))],
      tokenKeys: await ring.fingerprints((secret) => print('token key', secret)),
    }),
    ...(config.drm.enabled && {
      contentKeks: (await readKeks(config, dataDir)).map(({ key }) => print('content kek', key)).toReversed(),
    }),
  });
}

/** The newest last. */
async function readKeks({ drm }: Config, dataDir: string): Promise<readonly Kek[]> {
  if (drm.kek === '')
    return new KekFile(drm.kekPath === '' ? defaultKekPath(dataDir) : resolve(drm.kekPath)).load();
  const reading = parseKeks(drm.kek);
  return 'keks' in reading ? reading.keks : [];
}

/** Tells whether two secrets are the same, and nothing else: a secret has 256 bits, so that none is found by trying. */
function print(name: string, secret: Uint8Array): string {
  return createHmac('sha256', secret)
    .update(`headwater fingerprint\0${name}`)
    .digest()
    .subarray(0, PRINT_BYTES)
    .toString('base64url');
}

function renderNodes(
  { atMs, nodes }: SeenNodes,
  self: string,
  nameOf: (secret: SharedSecret) => string,
): object {
  return {
    seenAt: atMs === undefined ? null : timeText(atMs),
    nodes: nodes.map((each: SeenNode) => ({
      id: each.node,
      isSelf: each.node === self,
      version: each.version,
      startedAt: timeText(each.startedMs),
      media: each.media,
      control: each.control,
      differs: each.differs.map(nameOf),
    })),
  };
}
