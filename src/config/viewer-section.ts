import { flag, integer, optionalUrl, text } from './field.ts';
import type { Section } from './schema.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Configuration of who may watch what, and of where viewers are. */
export const viewerSection = {
  viewers: {
    enabled: flag(
      true,
      'Whether playback sessions are served on the control port also without licences (`license.enabled`), and where viewers are in titles is kept there (resume), with events to their other devices.',
    ),
    minWatchedSeconds: integer(
      10,
      { min: 0, max: 600 },
      'A play gesture that has not got this far into a title does not replace where the viewer was before: it was opened and closed.',
    ),
    completedPercent: integer(
      95,
      { min: 50, max: 100 },
      'Past this share of its duration a title is watched, unless the catalogue says where its credits begin.',
    ),
    maxCallsPerAddressPerSecond: integer(
      50,
      { min: 0, max: 1_000_000 },
      'Calls about resume a second of one address (one /64 of IPv6), three times as many at once; more are answered 429. 0 sets no limit.',
    ),
    maxCallsPerViewerPerSecond: integer(
      10,
      { min: 0, max: 1_000_000 },
      'The same of one user; 20 reports of a batch count as one call.',
    ),
    maxStreams: integer(
      10_000,
      { min: 1, max: 1_000_000 },
      'Event streams held at once; one more is answered 429. `http.maxConnections` counts for them too.',
    ),
    maxStreamsPerViewer: integer(20, { min: 1, max: 1000 }, 'The same of one user.'),
    maxStreamsPerAddress: integer(
      200,
      { min: 1, max: 1_000_000 },
      'The same of one address (one /64 of IPv6). `http.maxConnectionsPerAddress` counts for them too.',
    ),
    maxStreamBacklogBytes: integer(
      64 * KIB,
      { min: 4 * KIB, max: 16 * MIB },
      'A device that so many bytes of events wait for does not read: its stream ends.',
    ),
    cataloguePath: text(
      '',
      'YAML file with rules on who may play what (see docs/viewers.md), read again when it changes. Empty: login tokens alone say. Relative to the working directory.',
      { optional: true },
    ),
    entitlement: {
      url: optionalUrl(
        'Back end that is asked what the user may play, besides its token and the catalogue: at the start of each session, where no answer is no, and while it plays (heartbeats), as far as its last answer does not count any more. Empty: nobody is asked.',
      ),
      secretPath: text(
        '',
        'File with the secret that these calls are signed with (32 bytes or more), readable by its owner only. Relative to the working directory.',
        { optional: true },
      ),
      timeoutMs: integer(
        2000,
        { min: 100, max: 30_000 },
        'Time for the whole answer; past it the session is refused (503).',
      ),
      maxConcurrent: integer(
        32,
        { min: 1, max: 10_000 },
        'Calls under way at once; 256 more may wait within `timeoutMs`.',
      ),
      cacheSeconds: integer(
        60,
        { min: 0, max: 86_400 },
        'How long an answer counts for the same user and title, unless it says less (`ttlSeconds`); a no counts 10 s at most.',
      ),
      graceSeconds: integer(
        3600,
        { min: 0, max: 86_400 },
        'While the back end does not answer, a session that plays goes on for so long after its last yes; then it ends. New ones are refused.',
      ),
      maxCached: integer(
        100_000,
        { min: 100, max: 10_000_000 },
        'Answers kept; at the limit the one asked for longest ago goes.',
      ),
      maxFailures: integer(
        5,
        { min: 1, max: 1000 },
        'A back end that fails so often in a row is not asked for a while: sessions are refused at once.',
      ),
      pauseMs: integer(
        5000,
        { min: 100, max: 600_000 },
        'That while; doubled up to a minute as long as it goes on failing.',
      ),
    },
  },
} as const satisfies Section;
