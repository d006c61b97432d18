import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import type { Clock } from './base/clock.ts';
import { Closer } from './base/closer.ts';
import type { Logger } from './base/log.ts';
import { Metrics } from './base/metrics.ts';
import { toneMapperOnce } from './app/encoding-tools.ts';
import { keepsLive, type LiveKeeping } from './app/live-keeping.ts';
import { openNodes } from './app/nodes.ts';
import { openProtection, type Protection } from './app/protection.ts';
import { stateOptions } from './app/state-options.ts';
import { openVod, type Vod } from './app/vod.ts';
import { type Config, isLoopback } from './config.ts';
import { configuredRungs } from './config/ladder-rungs.ts';
import { configuredSrtPulls } from './config/srt-pulls.ts';
import { openAdminToken, type AdminToken } from './control/admin-token.ts';
import { type AdminAccess, createAdminAccess } from './control/admin-access.ts';
import { createControlApi } from './control/control-api.ts';
import { EventLoopWatchdog } from './control/event-loop-watchdog.ts';
import type { DocumentedApi } from './control/openapi.ts';
import { createMetricsEndpoint, registerProcessMetrics } from './control/metrics-endpoint.ts';
import type { EncoderStatus, SrtLinkStatus, StreamDirectory } from './control/stream-status.ts';
import { createCallHandler } from './http/call-handler.ts';
import { createHttpServer } from './http/create-http-server.ts';
import type { HttpHandler, HttpServer } from './http/types.ts';
import { CmafIngest } from './ingest/cmaf/cmaf-ingest.ts';
import { createIngestGate } from './ingest/open-gate.ts';
import { PublishKeys } from './ingest/publish-keys.ts';
import { RtmpServer } from './ingest/rtmp/rtmp-server.ts';
import { SrtServer } from './ingest/srt/srt-server.ts';
import { Origin } from './origin/origin.ts';
import { loadPageFiles, type PageFiles } from './origin/page-files.ts';
import { MPD_PATCH_NAME } from './packager/media-path.ts';
import { PackagerDirectory } from './packager/packager-directory.ts';
import { PackagerMetrics } from './packager/packager-metrics.ts';
import { openDataFolder } from './state/data-folder.ts';
import { openFileJournal } from './state/file-journal.ts';
import type { LeaseStore } from './state/lease-store.ts';
import { openState } from './state/open-state.ts';
import { StreamHub } from './stream/hub.ts';
import {
  NUMBER_RESERVATION,
  parseStreamRecord,
  type StreamJournal,
  type StreamRecord,
} from './stream/journal.ts';
import { AudioEncoderFarm } from './transcode/audio-encoder-farm.ts';
import { EncoderFarm } from './transcode/encoder-farm.ts';
import type { SpawnEncoder } from './transcode/encoder-process.ts';
import { createSpawnEncoder, guardCommand } from './transcode/spawn-encoder.ts';
import type { ToneMapper } from './transcode/tone-map.ts';

/** What the whole server takes from the process it runs in. */
export interface AppDeps {
  readonly clock: Clock;
  readonly log: Logger;
}

/** The real ports, once everything listens. */
export interface AppPorts {
  readonly rtmp: number;
  /** Where there is a certificate. */
  readonly rtmps?: number;
  /** UDP. */
  readonly srt?: number;
  readonly http: number;
  readonly control: number;
  readonly metrics: number;
}

/** The server: every part made and wired, nothing opened before `start()`. */
export interface App {
  readonly metrics: Metrics;
  readonly publishKeys: PublishKeys;
  /** Opens files and ports. @throws AppError of whatever cannot be opened; what was opened is closed again. */
  start(): Promise<AppPorts>;
  /**
   * Publishers are let go, viewers' answers end, no stream is ended for it (no ENDLIST): numbers go on after a
   * restart. Idempotent.
   */
  close(): Promise<void>;
}

/** The built web pages lie beside this module in dist/; when it runs from src/ they are still in dist/. */
const PAGES = fileURLToPath(new URL('../dist/web', import.meta.url));
const VERSION = readVersion();

/** Makes the server out of its parts: the one place that knows them all. */
export function createApp(config: Config, deps: AppDeps): App {
  const { clock, log } = deps;
  const metrics = new Metrics();
  registerProcessMetrics(metrics);
  const dataDir = resolve(config.dataDir);
  const publishKeys = new PublishKeys(dataDir, { randomBytes, clock });
  const gate = createIngestGate(config.ingest, {
    keys: publishKeys,
    clock,
    log: log.child({ area: 'ingest' }),
    metrics,
    randomBytes,
  });
  const journal = new LateJournal();
  const rungs = configuredRungs(config.ladder.rungs);
  const directory = new PackagerDirectory(
    { ...config.live, ladder: rungs !== 'none' },
    {
      clock,
      log: log.child({ area: 'packager' }),
      metrics: new PackagerMetrics(metrics),
      journal,
      archive: keepsLive(config) ? { open: (stream) => liveNow().archive.open(stream) } : undefined,
      encryptionOf: (stream) => protectionNow().encryptionOf(stream),
    },
  );
  // Only encoders join a stream late: without them nothing need be kept for anybody.
  const kept = rungs === 'none' ? { ...config.live, gopCacheMs: 0 } : config.live;
  const hub = new StreamHub(kept, {
    clock,
    log: log.child({ area: 'stream' }),
    metrics,
    createSink: (stream, ownRungs) => {
      const sinks = directory.createSink(stream);
      if (!ownRungs) farm?.attach(stream, sinks.rungs);
      return sinks;
    },
  });
  const audioFarm = config.ladder.audioEncoder
    ? new AudioEncoderFarm(config.ladder, {
        clock,
        log: log.child({ area: 'transcode' }),
        metrics,
        spawn: (command, events) => spawnEncoder(command, events),
        random: Math.random,
      })
    : undefined;
  const rtmp = new RtmpServer(config.rtmp, {
    hub: gate.guard(hub),
    foreignAudio: audioFarm,
    authoriser: gate.authoriser,
    clock,
    log: log.child({ area: 'rtmp' }),
    metrics,
    randomBytes,
  });
  const cmaf = config.cmaf.enabled
    ? new CmafIngest(config.cmaf, {
        hub: gate.guard(hub),
        authoriser: gate.authoriser,
        clock,
        log: log.child({ area: 'cmaf' }),
        metrics,
        randomBytes,
        localOnly: config.ingest.auth === 'none' && !isLoopback(config.control.host),
      })
    : undefined;
  const srt = config.srt.enabled
    ? new SrtServer(srtOptions(config), {
        hub: gate.guard(hub),
        authoriser: gate.authoriser,
        // What the operator told us to fetch needs nobody's leave.
        pullHub: hub,
        pulls: configuredSrtPulls(config.srt.pull),
        clock,
        log: log.child({ area: 'srt' }),
        metrics,
        randomBytes,
      })
    : undefined;
  const streams = streamDirectory(hub, directory, publishKeys, {
    encoder: (stream) => farm?.statusOf(stream),
    srtLinks: () => srt?.snapshots() ?? [],
  });
  const services = { streams, keys: publishKeys };
  /** What lets work in and holds requests: closed first, so that the listeners behind have nothing to wait for. */
  /** Open while the server runs. */
  let protection: Protection | undefined;
  let live: LiveKeeping | undefined;
  const front = new Closer();
  const closer = new Closer();
  const listeners: HttpServer[] = [];
  /** Open while the server runs; undefined when nothing is to be encoded. */
  let farm: EncoderFarm | undefined;
  const toneMapper = toneMapperOnce(config);
  /** With the guard from the start on. */
  let spawnEncoder: SpawnEncoder = createSpawnEncoder(process.env, []);

  async function start(): Promise<AppPorts> {
    const watchdog = new EventLoopWatchdog({ clock, metrics });
    closer.defer(() => watchdog.close());
    const files = await openFiles();
    const adminAccess = createAdminAccess({ token: files.token, clock, metrics });
    const state = await openState(stateOptions(config), {
      ...{ clock, metrics, random: Math.random },
      log: log.child({ area: 'state' }),
    });
    closer.defer(() => state.close());
    protection = await openProtection(config, {
      ...{ clock, log, metrics, state, adminAccess },
      adminToken: files.token,
      // Before it is open nobody knows: nothing is thrown away.
      isKept: (stream, fromMs, toMs) =>
        keepsLive(config) && (!live || live.archive.stretch({ stream, fromMs, toMs }) !== undefined),
    });
    closer.defer(() => protection?.close());
    const nodes = await openNodes(config, { clock, log, metrics, state, adminAccess, version: VERSION });
    closer.defer(() => nodes.close());
    // Side by side: each of them may take the whole time of a stop.
    closer.defer(async () => {
      await Promise.all(listeners.map((server) => server.close(config.shutdown.drainMs)));
    });
    const guard = await guardCommand(process.env);
    spawnEncoder = createSpawnEncoder(process.env, guard);
    closer.defer(() => audioFarm?.close());
    if (rungs !== 'none') {
      farm = openFarm(await toneMapper());
      closer.defer(() => farm?.close());
    }
    const vod = await openTitles(guard, adminAccess, state.leases);
    live = vod.live;
    // What packagers have is stored before the archive ends.
    closer.defer(() => directory.close());
    const origin = createOrigin(files.pages, vod);
    front.defer(() => vod.jobEvents.close());
    front.defer(() => protection?.release());
    front.defer(() => origin.close());
    front.defer(() => hub.close());
    front.defer(() => cmaf?.close());
    front.defer(async () => {
      await Promise.all([rtmp.close(), srt?.close()]);
    });
    let ready = false;
    const problems = (): string[] => {
      const block = watchdog.problem();
      return [
        ...(ready ? [] : ['not all listeners are open']),
        ...(block === undefined ? [] : [block]),
        ...nodes.problems(),
      ];
    };
    const control = createControlApi({
      services: { ...services, titles: vod.keeper, recordings: vod.recordings, problems },
      access: adminAccess,
      version: VERSION,
      jobEvents: vod.jobEvents,
      documented: allDocumented(protectionNow().documented, vod.documented, nodes.documented),
      next: cmaf ? withIngest(cmaf, origin.handler) : origin.handler,
    });
    const ports = {
      http: await listen('media', config.http, origin.handler),
      control: await listen(
        'control',
        { ...config.control, driver: 'node' },
        protectionNow().handler(nodes.handler(vod.handler(control))),
      ),
      metrics: await listen('metrics', { ...config.metrics, driver: 'node' }, createMetricsEndpoint(metrics)),
      rtmp: await rtmp.listen(),
      ...(srt && { srt: await srt.listen() }),
      ...(config.rtmps.certPath !== '' && { rtmps: await rtmp.listenTls(config.rtmps) }),
    };
    front.defer(() => {
      ready = false;
    });
    ready = true;
    log.info({ event: 'listening', ports, version: VERSION, admin: files.token.file }, 'listening');
    return ports;
  }

  async function openFiles(): Promise<{ token: AdminToken; pages: PageFiles }> {
    await openDataFolder(dataDir);
    await gate.open();
    closer.defer(() => gate.close());
    const opened = await openFileJournal(join(dataDir, 'streams'), {
      parse: parseStreamRecord,
      reservation: NUMBER_RESERVATION,
      log: log.child({ area: 'journal' }),
      metrics,
    });
    closer.defer(() => opened.close());
    closer.defer(() => directory.close());
    journal.open(opened);
    return { token: await openAdminToken(dataDir, randomBytes), pages: await loadPageFiles(PAGES) };
  }

  async function openTitles(
    guard: readonly string[],
    adminAccess: AdminAccess,
    leases: LeaseStore,
  ): Promise<Vod> {
    const vod = await openVod(config, {
      ...{ clock, log, metrics, adminAccess, guard },
      spawn: (command, events) => spawnEncoder(command, events),
      live: farm,
      toneMapper,
      encryptionOf: (title) => protectionNow().encryptionOfTitle(title),
      keysOfRecordings: protectionNow().keysOfRecordings,
      leases,
    });
    closer.defer(() => vod.close());
    return vod;
  }

  /** Nothing is published before all is open. */
  function protectionNow(): Protection {
    if (!protection) throw new Error('the server has not started');
    return protection;
  }

  function liveNow(): LiveKeeping {
    if (!live) throw new Error('the server has not started');
    return live;
  }

  function openFarm(mapper: ToneMapper): EncoderFarm {
    return new EncoderFarm(
      { ...config.ladder, rungs, segmentMs: config.live.segmentMs },
      {
        clock,
        log: log.child({ area: 'transcode' }),
        metrics,
        source: hub,
        spawn: spawnEncoder,
        cores: availableParallelism(),
        toneMapper: mapper,
        random: Math.random,
        queue: { maxQueueBytes: config.ladder.maxQueueBytes, maxQueueSamples: MAX_ENCODER_QUEUE_SAMPLES },
      },
    );
  }

  function createOrigin(pages: PageFiles, vod: Vod): Origin {
    return new Origin(
      {
        maxWaiters: config.live.maxWaiters,
        segmentHoldMs: config.live.segmentMs + SEGMENT_HOLD_SLACK_MS,
        publicIndex: config.http.publicIndex,
        mpd: {
          // Relative, so that it holds behind any host name and path prefix.
          clockUrl: '../../time',
          targetLatencyMs: config.live.targetLatencyMs,
          ...(config.live.mpdPatch && { patch: { name: MPD_PATCH_NAME, ttlSeconds: MPD_PATCH_TTL_SECONDS } }),
        },
      },
      {
        directory,
        archive: vod.live?.archive,
        liveStreams: () => directory.watchable(),
        isKnown: (stream) => hub.stream(stream) !== undefined,
        clock,
        log: log.child({ area: 'origin' }),
        metrics,
        pages,
        titles: vod.source,
        pathTokens: protectionNow().pathTokens,
      },
    );
  }

  async function listen(
    listener: keyof typeof DESCRIPTOR_SHARES,
    options: { readonly host: string; readonly port: number; readonly driver: 'auto' | 'uws' | 'node' },
    handler: HttpHandler,
  ): Promise<number> {
    const server: HttpServer = await createHttpServer(
      {
        host: options.host,
        port: options.port,
        driver: options.driver,
        limits: config.http,
        listener,
        descriptors: { reserved: config.rtmp.maxConnections, share: DESCRIPTOR_SHARES[listener] },
      },
      { log: log.child({ area: 'http' }), metrics, clock },
      handler,
    );
    listeners.push(server);
    return server.port;
  }

  async function stop(): Promise<void> {
    await front.close();
    await closer.close();
  }

  return {
    metrics,
    publishKeys,
    async start() {
      try {
        return await start();
      } catch (error) {
        await stop();
        throw error;
      }
    },
    close: stop,
  };
}

function allDocumented(...apis: readonly (DocumentedApi | undefined)[]): DocumentedApi {
  return {
    calls: apis.flatMap((api) => api?.calls ?? []),
    schemas: Object.assign({}, ...apis.map((api) => api?.schemas)) as DocumentedApi['schemas'],
  };
}

/** How the HTTP listeners share the file descriptors that ingest leaves, so that none can starve another. */
const DESCRIPTOR_SHARES = { media: 0.65, control: 0.3, metrics: 0.05 } as const;

/** Samples that may wait for one encoder: the cached GOPs, audio among them, several times over. */
const MAX_ENCODER_QUEUE_SAMPLES = 8192;

/** How long after a change of the MPD a patch from the one before it is to be had. */
const MPD_PATCH_TTL_SECONDS = 60;

/** A player whose clock runs ahead may ask this much before a segment begins and is held, not refused. */
const SEGMENT_HOLD_SLACK_MS = 500;

/** The journal is opened with the server, but packagers are wired to it before; nothing is published until then. */
class LateJournal implements StreamJournal {
  #journal: StreamJournal | undefined;

  open(journal: StreamJournal): void {
    this.#journal = journal;
  }

  load(stream: string): StreamRecord | undefined {
    return this.#journal?.load(stream);
  }

  save(stream: string, record: StreamRecord): void {
    this.#journal?.save(stream, record);
  }
}

/** Where anybody may publish, only those on this machine may. */
function srtOptions({ srt, ingest }: Config): Config['srt'] {
  return ingest.auth === 'none' && !isLoopback(srt.host) ? { ...srt, host: '127.0.0.1' } : srt;
}

/** CMAF ingest has its own paths beside what the origin serves. */
function withIngest(cmaf: CmafIngest, next: HttpHandler): HttpHandler {
  const ingest = createCallHandler((request) => cmaf.handle(request));
  return (request, response) => (cmaf.owns(request.path) ? ingest : next)(request, response);
}

/** What the control API says of streams: those being published, and those that only have a key. */
function streamDirectory(
  hub: StreamHub,
  directory: PackagerDirectory,
  keys: PublishKeys,
  parts: {
    readonly encoder: (stream: string) => EncoderStatus | undefined;
    readonly srtLinks: () => readonly { readonly session: string; readonly stats: SrtLinkStatus }[];
  },
): StreamDirectory {
  return {
    async streams() {
      const published = new Map(hub.streams().map((snapshot) => [snapshot.stream, snapshot]));
      const names = new Set([...published.keys(), ...(await keys.list()).map(({ stream }) => stream)]);
      const links = new Map(parts.srtLinks().map(({ session, stats }) => [session, stats]));
      return [...names].sort().map((id) => {
        const window = directory.window(id);
        const publishers = (published.get(id)?.publishers ?? []).map((publisher) => ({
          ...publisher,
          srt: links.get(publisher.session),
        }));
        return { id, state: window?.state ?? 'idle', publishers, window, encoder: parts.encoder(id) };
      });
    },
    kick(stream) {
      if (!hub.stream(stream)?.publisher) return false;
      hub.kick(stream);
      return true;
    },
  };
}

function readVersion(): string {
  const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return manifest.version;
}
