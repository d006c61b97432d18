/**
 * How many licences does one core decide, what does each kind of token and the proof of a device cost, and what is left
 * of it when ten times as many are asked for? The server as users run it, with a protected stream on the air; ClearKey
 * licences over kept connections. CPU is the server's own, from /proc, less what the stream takes anyway.
 */
import { createHash, createHmac, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import autocannon from 'autocannon';
import { startBroadcast } from './support/broadcast.ts';
import { startHeadwater, type HeadwaterProcess } from './support/headwater-process.ts';
import { cpuMicros } from './support/process-usage.ts';
import { percentile, printTable, saveResults } from './support/report.ts';
import { requireTools } from './support/require-tools.ts';
import { ingestHealth, readSamples } from './support/server-metrics.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '3' },
    algorithms: { type: 'string', default: 'HS256,ES256,EdDSA' },
    overload: { type: 'boolean', default: true },
    save: { type: 'boolean', default: true },
  },
  allowNegative: true,
});
const SECONDS = Number(values.seconds);
const ROUNDS = Number(values.rounds);
const CONNECTIONS = 32;
const OVERLOAD = 10;
const SESSIONS = 64;
const PATH = '/license/clearkey';
const AUDIENCE = 'bench';
/** More than any core can decide in the time: whoever runs out of proofs would only measure refusals. */
const MAX_PROOFS_PER_SECOND = 8_000;
const GOALS = { goodput: 0.9, acceptedP99Ms: 250, viewerRatio: 1.1, targetLatencyMs: 500 };

interface Session {
  readonly token: string;
  readonly device: Device | undefined;
}

interface Figures {
  readonly licensesPerSecond: number;
  /** Per core: by the CPU time that the server used. */
  readonly perCore: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly wrong: number;
}

interface Row extends Figures {
  readonly algorithm: string;
  readonly proof: boolean;
}

interface Overload {
  readonly ratedPerSecond: number;
  readonly offeredPerSecond: number;
  readonly grantedPerSecond: number;
  readonly shedPerSecond: number;
  readonly otherAnswers: number;
  readonly acceptedP99Ms: number;
  /** How much later than without load parts were there for live viewers, ms. */
  readonly viewersLaterMs: number;
}

/** A device's key, and proofs made with it. */
class Device {
  readonly jwk: object;
  readonly #key: KeyObject;
  readonly #header: string;

  constructor() {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const { kty, crv, x, y } = publicKey.export({ format: 'jwk' });
    this.jwk = { kty, crv, x, y };
    this.#key = privateKey;
    this.#header = encode({ typ: 'dpop+jwt', alg: 'ES256', jwk: this.jwk });
  }

  proof(url: string, token: string): string {
    const ath = createHash('sha256').update(token).digest('base64url');
    const iat = Math.floor(Date.now() / 1000);
    const jti = randomBytes(12).toString('base64url');
    const data = `${this.#header}.${encode({ jti, htm: 'POST', htu: url, iat, ath })}`;
    const signature = sign('sha256', Buffer.from(data), { key: this.#key, dsaEncoding: 'ieee-p1363' });
    return `${data}.${signature.toString('base64url')}`;
  }
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

requireTools('ffmpeg');
const folder = mkdtempSync(join(tmpdir(), 'headwater-license-bench-'));
const secret = randomBytes(32).toString('hex');
const secretPath = join(folder, 'issuer.secret');
writeFileSync(secretPath, secret, { mode: 0o600 });
const rows: Row[] = [];
let overload: Overload | undefined;
try {
  for (const algorithm of values.algorithms.split(',')) await measure(algorithm);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
report();

async function measure(algorithm: string): Promise<void> {
  const off = ['maxPerAddressPerSecond', 'maxPerSessionPerSecond', 'maxSessionCallsPerAddressPerSecond'];
  const server = await startHeadwater([
    ...['--set', 'drm.enabled=true'],
    ...['--set', `license.tokenAlgorithm=${algorithm}`],
    ...['--set', `auth.issuers=iss=bench,aud=${AUDIENCE},alg=HS256,key=${secretPath}`],
    ...off.flatMap((name) => ['--set', `license.${name}=0`]),
  ]);
  try {
    const broadcast = await startBroadcast(server, 1000);
    try {
      const quiet = await quietLoad(server);
      for (const proof of [false, true]) {
        const sessions = await beginSessions(server, broadcast.stream, proof);
        const rounds: Figures[] = [];
        for (let i = 0; i < ROUNDS; i++) rounds.push(await load(server, sessions, quiet));
        rows.push({ algorithm, proof, ...middle(rounds) });
      }
      const isLast = algorithm === values.algorithms.split(',').at(-1);
      if (values.overload && isLast) {
        const rated = rows.at(-1)?.licensesPerSecond ?? 0;
        overload = await overloadRun(server, await beginSessions(server, broadcast.stream, true), rated);
      }
    } finally {
      await broadcast.close();
    }
  } finally {
    await server.close();
  }
}

/** The round with the median rate. */
function middle(rounds: readonly Figures[]): Figures {
  const sorted = [...rounds].sort((a, b) => a.licensesPerSecond - b.licensesPerSecond);
  const found = sorted[Math.floor(sorted.length / 2)];
  if (found === undefined) throw new Error('no rounds');
  return found;
}

/** Microseconds of CPU a second that the server takes while nobody asks. */
async function quietLoad(server: HeadwaterProcess): Promise<number> {
  const [before, startMs] = [cpuMicros(server.pid), performance.now()];
  await new Promise((resolve) => setTimeout(resolve, 2000));
  return (cpuMicros(server.pid) - before) / ((performance.now() - startMs) / 1000);
}

async function beginSessions(server: HeadwaterProcess, stream: string, proof: boolean): Promise<Session[]> {
  const sessions: Session[] = [];
  for (let i = 0; i < SESSIONS; i++) {
    const device = proof ? new Device() : undefined;
    const body = { content: { kind: 'live', id: stream }, ...(device && { device: device.jwk }) };
    const response = await fetch(`${server.controlUrl}/v1/sessions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${loginToken(`user-${randomBytes(6).toString('hex')}`)}` },
      body: JSON.stringify(body),
    });
    if (response.status !== 201) throw new Error(`no session: ${await response.text()}`);
    sessions.push({ token: ((await response.json()) as { token: string }).token, device });
  }
  return sessions;
}

function loginToken(user: string): string {
  const exp = Math.floor(Date.now() / 1000) + 3600;
  const data = `${encode({ alg: 'HS256' })}.${encode({ iss: 'bench', aud: AUDIENCE, sub: user, exp })}`;
  return `${data}.${createHmac('sha256', secret).update(data).digest('base64url')}`;
}

/** Headers of requests to come: proofs are made before, as making them costs the client as much as the server. */
function prepareHeaders(
  server: HeadwaterProcess,
  sessions: readonly Session[],
  count: number,
): Record<string, string>[] {
  const url = server.controlUrl + PATH;
  return Array.from({ length: count }, (_, i) => {
    const { token, device } = sessions[i % sessions.length] ?? { token: '', device: undefined };
    if (device === undefined) return { authorization: `Bearer ${token}` };
    return { authorization: `DPoP ${token}`, dpop: device.proof(url, token) };
  });
}

function requests(headers: readonly Record<string, string>[], recycle: boolean) {
  let next = 0;
  const body = JSON.stringify({ kids: ['AAAAAAAAAAAAAAAAAAAAAA'], type: 'temporary' });
  return [
    {
      method: 'POST' as const,
      path: PATH,
      body,
      setupRequest: (request: {
        readonly method: 'POST' | 'GET';
        readonly path: string;
        readonly body?: string;
      }) => {
        const index = recycle ? next++ % headers.length : next++;
        return { ...request, headers: headers[index] ?? {} };
      },
    },
  ];
}

async function load(server: HeadwaterProcess, sessions: readonly Session[], quiet: number): Promise<Figures> {
  const proof = sessions[0]?.device !== undefined;
  const headers = prepareHeaders(server, sessions, proof ? MAX_PROOFS_PER_SECOND * SECONDS : SESSIONS);
  const before = cpuMicros(server.pid);
  const result = await autocannon({
    url: server.controlUrl,
    connections: CONNECTIONS,
    duration: SECONDS,
    requests: requests(headers, !proof),
  });
  const usedMicros = cpuMicros(server.pid) - before - quiet * result.duration;
  return {
    licensesPerSecond: result['2xx'] / result.duration,
    perCore: result['2xx'] / (usedMicros / 1e6),
    p50Ms: result.latency.p50,
    p99Ms: result.latency.p99,
    wrong: result.non2xx + result.errors,
  };
}

async function overloadRun(
  server: HeadwaterProcess,
  sessions: readonly Session[],
  rated: number,
): Promise<Overload> {
  const seconds = Math.min(SECONDS * 2, 20);
  // Shed requests use proofs up too: they are sent again with a new one by real clients.
  const headers = prepareHeaders(server, sessions, Math.ceil(rated * seconds * 2.5));
  const calmStart = await readSamples(server.metricsUrl);
  await new Promise((resolve) => setTimeout(resolve, 5000));
  const calmEnd = await readSamples(server.metricsUrl);
  const acceptedMs: number[] = [];
  let shed = 0;
  const run = autocannon({
    url: server.controlUrl,
    connections: CONNECTIONS * OVERLOAD,
    duration: seconds,
    overallRate: Math.ceil(rated * OVERLOAD),
    timeout: 30,
    requests: requests(headers, false),
  }).on('response', (_client, status, _bytes, milliseconds) => {
    if (status === 200) acceptedMs.push(milliseconds);
    else if (status === 503) shed += 1;
  });
  const result = await run;
  const busyEnd = await readSamples(server.metricsUrl);
  return {
    ratedPerSecond: rated,
    offeredPerSecond: rated * OVERLOAD,
    grantedPerSecond: result['2xx'] / result.duration,
    shedPerSecond: shed / result.duration,
    otherAnswers: result.non2xx - shed + result.errors,
    acceptedP99Ms: percentile(acceptedMs, 0.99),
    viewersLaterMs: ingestHealth(calmEnd, busyEnd).partLateMs - ingestHealth(calmStart, calmEnd).partLateMs,
  };
}

function report(): void {
  printTable(
    ['token', 'proof', 'licences/s', 'per core', 'p50 ms', 'p99 ms', 'refused'],
    rows.map((row) => [
      row.algorithm,
      row.proof ? 'DPoP' : 'none',
      row.licensesPerSecond.toFixed(0),
      row.perCore.toFixed(0),
      row.p50Ms.toFixed(1),
      row.p99Ms.toFixed(1),
      String(row.wrong),
    ]),
  );
  if (overload) {
    const goodput = overload.grantedPerSecond / overload.ratedPerSecond;
    const viewerRatio = (GOALS.targetLatencyMs + overload.viewersLaterMs) / GOALS.targetLatencyMs;
    console.log(
      [
        `\nat ${OVERLOAD}× the rated load: goodput ${(goodput * 100).toFixed(0)} % (goal ≥ ${GOALS.goodput * 100} %)`,
        `p99 of accepted ${overload.acceptedP99Ms.toFixed(0)} ms (goal ≤ ${GOALS.acceptedP99Ms})`,
        `shed ${overload.shedPerSecond.toFixed(0)}/s, other answers ${overload.otherAnswers}`,
        `live viewers ${overload.viewersLaterMs.toFixed(1)} ms later: ${viewerRatio.toFixed(3)}× (goal ≤ ${GOALS.viewerRatio})`,
      ].join('\n'),
    );
  }
  if (values.save)
    saveResults('license', {
      seconds: SECONDS,
      rounds: ROUNDS,
      connections: CONNECTIONS,
      rows,
      overload,
      goals: GOALS,
    });
}
