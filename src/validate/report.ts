import type { WatchedRendition } from './contracts.ts';
import type { CountedFinding } from './finding.ts';
import { printable } from './printable.ts';
import type { ValidationReport } from './validator.ts';

/** Version of the JSON report's shape. Fields may be added within one version, never changed or taken away. */
export const REPORT_SCHEMA_VERSION = 1;

/** The report as one JSON document, fit for a terminal too; its shape is described in docs/validate.md. */
export function renderJsonReport(report: ValidationReport): string {
  const { url, watched, watchedSeconds, findings } = report;
  const json = JSON.stringify(
    {
      schemaVersion: REPORT_SCHEMA_VERSION,
      url,
      format: watched.format,
      live: watched.live,
      lowLatency: watched.lowLatency,
      watchedSeconds: Math.round(watchedSeconds * 1000) / 1000,
      errors: countOf(findings, 'error'),
      warnings: countOf(findings, 'warning'),
      infos: countOf(findings, 'info'),
      findings: findings.map(({ rule, severity, clause, message, url: where, count }) => ({
        rule,
        severity,
        clause,
        message,
        url: where,
        count,
      })),
      renditions: watched.renditions.map((rendition) => ({
        ...rendition,
        mediaSeconds: rounded(rendition.mediaSeconds),
      })),
    },
    undefined,
    2,
  );
  return json.split('\n').map(printable).join('\n');
}

/** The report for people: a line for each finding, then what was watched. */
export function renderTextReport(report: ValidationReport): string[] {
  const { findings, watched, watchedSeconds, url } = report;
  const kind = [watched.lowLatency ? 'low-latency ' : '', watched.format === 'hls' ? 'HLS' : 'DASH'].join('');
  const errors = countOf(findings, 'error');
  const warnings = countOf(findings, 'warning');
  const infos = countOf(findings, 'info');
  return [
    ...findings.map(findingLine),
    ...(findings.length > 0 ? [''] : []),
    `${kind}, ${watched.live ? 'live' : 'on demand'}, watched for ${watchedSeconds.toFixed(1)} s: ${printable(url)}`,
    ...watched.renditions.map(renditionLine),
    `${plural(errors, 'error')}, ${plural(warnings, 'warning')}${infos > 0 ? `, ${plural(infos, 'info')}` : ''}`,
  ];
}

/** How many findings there are of a severity; one that came again counts once. */
export function countOf(findings: readonly CountedFinding[], severity: CountedFinding['severity']): number {
  return findings.filter((finding) => finding.severity === severity).length;
}

function findingLine({ severity, rule, clause, message, url, count }: CountedFinding): string {
  const times = count > 1 ? ` (${count} times)` : '';
  return `${severity.padEnd(7)}  ${rule}  ${printable(message)}${times}\n         ${clause}  ${printable(url)}`;
}

function renditionLine({
  id,
  kind,
  updates,
  segments,
  parts,
  mediaSeconds,
  bytes,
}: WatchedRendition): string {
  const counts = [
    plural(updates, 'update'),
    plural(segments, 'segment'),
    ...(parts > 0 ? [plural(parts, 'part')] : []),
  ];
  return `  ${kind.padEnd(7)}  ${counts.join(', ')}, ${mediaSeconds.toFixed(1)} s, ${Math.round(bytes / 1000)} kB  ${printable(id)}`;
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

function rounded(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}
