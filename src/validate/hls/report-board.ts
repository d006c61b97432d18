import type { FindingLog } from '../finding.ts';
import { LIVE_RULES } from './live-rules.ts';
import { isLowLatency, lastListed, type RenditionReport } from './playlist.ts';
import type { Snapshot } from './rendition.ts';
import { tell } from './rule.ts';

/** Last segment and part of a playlist; part -1 where it lists none of it. */
interface Edge {
  readonly msn: number;
  readonly part: number;
}

interface Claim extends Edge {
  readonly by: string;
  readonly atMs: number;
}

/** Claims about one rendition that wait for its next playlist. */
const MAX_CLAIMS = 32;

/**
 * Compares rendition reports with the playlists they are about (RFC 8216bis 4.4.5.4). Both are seen from outside and
 * at different times, so only what no order of events explains is told.
 */
export class ReportBoard {
  readonly #log: FindingLog;
  /** Resolved URLs of all media playlists but those of I-frames. */
  readonly #urls: ReadonlySet<string>;
  readonly #newest = new Map<string, { readonly edge: Edge; readonly endedMs: number }[]>();
  readonly #claims = new Map<string, Claim[]>();

  constructor(log: FindingLog, urls: ReadonlySet<string>) {
    this.#log = log;
    this.#urls = urls;
  }

  /** Takes a full playlist of the rendition `url`. */
  note(url: string, snapshot: Snapshot): void {
    const { playlist } = snapshot;
    const edge = lastListed(playlist);
    if (!edge) return;
    this.#settleClaims(url, edge, snapshot.startedMs);
    const known = this.#newest.get(url) ?? [];
    known.push({ edge, endedMs: snapshot.endedMs });
    this.#newest.set(url, known.slice(-MAX_CLAIMS));
    if (!isLowLatency(playlist) || playlist.ended) return;
    for (const report of playlist.reports) this.#judge(url, snapshot, report, edge);
    this.#judgeMissing(url, playlist.reports);
  }

  #judge(by: string, { endedMs, startedMs }: Snapshot, report: RenditionReport, own: Edge): void {
    const sink = { log: this.#log, url: by };
    const about = this.#match(report.url);
    if (about === undefined) {
      if (this.#urls.size > 1)
        tell(
          LIVE_RULES.reportUnknown,
          { line: report.line, message: `a report about ${report.uri}, which is no rendition` },
          sink,
        );
      return;
    }
    // What is left out is what the playlist's own report would say.
    const claim = { msn: report.lastMsn ?? own.msn, part: report.lastPart ?? own.part };
    const atLeast = this.#newest.get(about)?.findLast((seen) => seen.endedMs <= startedMs)?.edge;
    if (atLeast && partsBehind(claim, atLeast) > 1) {
      const message = `says of ${report.uri} ${name(claim)}, which had ${name(atLeast)} before the request`;
      tell(LIVE_RULES.reportStale, { line: report.line, message }, sink);
    }
    const claims = this.#claims.get(about) ?? [];
    claims.push({ ...claim, by, atMs: endedMs });
    this.#claims.set(about, claims.slice(-MAX_CLAIMS));
  }

  /** A playlist asked for after a report was there must have what the report told of. */
  #settleClaims(url: string, edge: Edge, startedMs: number): void {
    const open: Claim[] = [];
    for (const claim of this.#claims.get(url) ?? []) {
      if (claim.atMs > startedMs) open.push(claim);
      else if (isAhead(claim, edge)) {
        const message = `said of ${url} ${name(claim)}, which has only ${name(edge)}`;
        tell(LIVE_RULES.reportAhead, { message }, { log: this.#log, url: claim.by });
      }
    }
    this.#claims.set(url, open);
  }

  #judgeMissing(url: string, reports: readonly RenditionReport[]): void {
    const told = new Set(reports.map((report) => this.#match(report.url)));
    for (const other of this.#urls) {
      if (other === url || told.has(other)) continue;
      tell(
        LIVE_RULES.reportMissing,
        { message: `no EXT-X-RENDITION-REPORT about ${other}` },
        { log: this.#log, url },
      );
    }
  }

  /** The rendition a report is about: its URL, or its URL without the query (hls.js matches both). */
  #match(url: string): string | undefined {
    if (this.#urls.has(url)) return url;
    return [...this.#urls].find((known) => known.split('?')[0] === url);
  }
}

/** Parts that `claim` is behind `edge`; across segments, at least that many. */
function partsBehind(claim: Edge, edge: Edge): number {
  if (edge.part < 0) return claim.msn < edge.msn ? 2 : 0;
  if (claim.msn === edge.msn) return edge.part - claim.part;
  if (claim.msn > edge.msn) return 0;
  return claim.msn === edge.msn - 1 ? edge.part + 1 : Number.POSITIVE_INFINITY;
}

function isAhead(claim: Edge, edge: Edge): boolean {
  if (claim.msn !== edge.msn) return claim.msn > edge.msn;
  return edge.part >= 0 && claim.part > edge.part;
}

function name({ msn, part }: Edge): string {
  return part < 0 ? `segment ${msn}` : `part ${part} of segment ${msn}`;
}
