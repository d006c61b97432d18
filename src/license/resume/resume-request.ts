import { AppError } from '../../base/errors.ts';
import type { WatchState } from '../../state/resume-store.ts';
import type { DeviceReport, OfflineReport } from './resume-policy.ts';

/** Titles, profiles and devices. */
const NAME = /^[A-Za-z0-9_-]{1,64}$/;
/** The profile of a user that has only one. */
export const DEFAULT_PROFILE = 'main';
/** Reports in one batch. */
const MAX_BATCH = 200;
/** No title is longer. */
const MAX_MEDIA_MS = 30 * 24 * 3_600_000;
/** No clock is further. */
const MAX_CLOCK_MS = 1e14;
const STATES: readonly WatchState[] = ['playing', 'paused', 'stopped', 'completed'];

type Json = Readonly<Record<string, unknown>>;

/** A play gesture: `{"profile"?, "device"}`. */
export interface ClaimRequest {
  readonly profile: string;
}

export interface ReportRequest {
  readonly profile: string;
  readonly report: DeviceReport;
}

export interface BatchRequest {
  readonly profile: string;
  readonly clientNowMs: number;
  readonly reports: readonly OfflineReport[];
}

/** The JSON object of a body. @throws AppError RESUME_REQUEST_MALFORMED, as all readers here */
export function readObject(body: Uint8Array): Json {
  return requireObject(parseObject(body));
}

/** The JSON object of a body; undefined when it is none. */
export function parseObject(body: Uint8Array): Json | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

export function requireObject(value: unknown): Json {
  if (!isObject(value)) throw malformed('expected a JSON object');
  return value;
}

/** A title's name out of a path. */
export function readTitle(value: unknown): string {
  return readName(value, 'the title');
}

/** A profile's name, or the usual one. */
export function readProfile(value: unknown): string {
  return value === undefined ? DEFAULT_PROFILE : readName(value, '"profile"');
}

export function readClaim(json: Json): ClaimRequest {
  readName(json['device'], '"device"');
  return { profile: readProfile(json['profile']) };
}

export function readReport(json: Json, title: string): ReportRequest {
  const device = readName(json['device'], '"device"');
  return { profile: readProfile(json['profile']), report: reportOf(json, title, device) };
}

export function readBatch(json: Json): BatchRequest {
  const { reports } = json;
  const device = readName(json['device'], '"device"');
  const clientNowMs = readNumber(json['clientNowMs'], '"clientNowMs"', MAX_CLOCK_MS);
  if (!Array.isArray(reports) || reports.length === 0 || reports.length > MAX_BATCH)
    throw malformed(`expected "reports" to be a list of 1 to ${MAX_BATCH}`);
  return {
    profile: readProfile(json['profile']),
    clientNowMs,
    reports: reports.map((item: unknown) => offlineReportOf(item, device)),
  };
}

/** A version that a client has seen up to: a whole number, or nothing. */
export function readVersion(text: string | undefined): number {
  if (text === undefined || text === '') return 0;
  if (!/^\d{1,15}$/.test(text)) throw malformed('expected a version: a whole number');
  return Number(text);
}

/** How many are wanted, at most `max`. */
export function readLimit(text: string | undefined, max: number): number {
  if (text === undefined) return max;
  if (!/^\d{1,4}$/.test(text) || Number(text) < 1) throw malformed('expected "limit" to be a whole number');
  return Math.min(Number(text), max);
}

function offlineReportOf(item: unknown, device: string): OfflineReport {
  if (!isObject(item)) throw malformed('expected each of "reports" to be an object');
  const { claimedMs } = item;
  return {
    ...reportOf(item, readName(item['title'], '"title"'), device),
    atMs: readNumber(item['atMs'], '"atMs"', MAX_CLOCK_MS),
    claimedMs: claimedMs === undefined ? undefined : readNumber(claimedMs, '"claimedMs"', MAX_CLOCK_MS),
  };
}

function reportOf(json: Json, title: string, device: string): DeviceReport {
  const { force = false } = json;
  const state = STATES.find((each) => each === json['state']);
  if (state === undefined) throw malformed(`expected "state" to be one of ${STATES.join(', ')}`);
  if (typeof force !== 'boolean') throw malformed('expected "force" to be true or false');
  return {
    title,
    device,
    epoch: readCount(json['epoch'], '"epoch"', 1),
    seq: readCount(json['seq'], '"seq"', 0),
    positionMs: Math.floor(readNumber(json['positionMs'], '"positionMs"', MAX_MEDIA_MS)),
    durationMs: Math.floor(readNumber(json['durationMs'], '"durationMs"', MAX_MEDIA_MS)),
    state,
    force,
  };
}

function readName(value: unknown, what: string): string {
  if (typeof value !== 'string' || !NAME.test(value))
    throw malformed(`expected ${what} to be 1 to 64 characters of A-Z a-z 0-9 - _`);
  return value;
}

function readCount(value: unknown, what: string, min: number): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min)
    throw malformed(`expected ${what} to be a whole number from ${min}`);
  return value;
}

function readNumber(value: unknown, what: string, max: number): number {
  if (typeof value !== 'number' || !(value >= 0) || value > max)
    throw malformed(`expected ${what} to be a number from 0 to ${max}`);
  return value;
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function malformed(message: string): AppError {
  return new AppError('RESUME_REQUEST_MALFORMED', message);
}
