import { MAX_MOVIE_TRACKS } from '../../media/isobmff/stream-init.ts';

/** Every limit on what a CMAF source may send, hold or wait. Times are milliseconds. */
export interface CmafOptions {
  /** Requests with a body open at once; one more is answered 503. */
  readonly maxRequests: number;
  /** The same for one stream. */
  readonly maxRequestsPerStream: number;
  /** How long the authoriser may take; then the answer is no. */
  readonly authTimeoutMs: number;
  /** Without media for so long a request is cut, and a stream without any counts as left by its publisher. */
  readonly silenceTimeoutMs: number;
  /** From the first media of a stream on, how long its other tracks may take to be declared. */
  readonly gatherMs: number;
  /** Of all tracks; past it the init of a further one is answered 400. */
  readonly maxTracks: number;
  /** Video tracks taken as rungs; the least ones past it are ignored. */
  readonly maxVideoTracks: number;
  /** One `moov`; a larger one is answered 413. */
  readonly maxInitBytes: number;
  /** One `mdat`; a larger one is answered 413. */
  readonly maxFragmentBytes: number;
  /** Samples of one fragment; more are answered 413. */
  readonly maxFragmentSamples: number;
  /** One sample; a larger one is answered 413. */
  readonly maxSampleBytes: number;
  /** One MPD or playlist, which is taken and not looked at. */
  readonly maxManifestBytes: number;
  /** Mean rate of all that is sent for a stream, redundant copies too; over twice this during 5 s is answered 429. */
  readonly maxBitrateBps: number;
  /** A redundant source that is this far ahead of the one in use takes its place. */
  readonly maxSourceLeadMs: number;
  /** Bytes of one track kept from sources not in use; at the limit one of them takes over. */
  readonly maxStandbyBytes: number;
  /** Refused attempts of one address; more in the same minute are refused without asking the authoriser. */
  readonly maxAuthFailuresPerMinute: number;
}

export const CMAF_DEFAULTS: CmafOptions = {
  maxRequests: 512,
  maxRequestsPerStream: 64,
  authTimeoutMs: 2_500,
  silenceTimeoutMs: 6_000,
  gatherMs: 500,
  maxTracks: MAX_MOVIE_TRACKS,
  maxVideoTracks: 8,
  maxInitBytes: 256 * 1024,
  maxFragmentBytes: 64 * 1024 * 1024,
  maxFragmentSamples: 8192,
  maxSampleBytes: 4 * 1024 * 1024,
  maxManifestBytes: 256 * 1024,
  maxBitrateBps: 60_000_000,
  maxSourceLeadMs: 1_000,
  maxStandbyBytes: 8 * 1024 * 1024,
  maxAuthFailuresPerMinute: 10,
};
