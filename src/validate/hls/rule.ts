import type { FindingLog, Severity } from '../finding.ts';

/** One instance of a broken rule. */
export interface Problem {
  readonly message: string;
  /** Line of the playlist, from 1. */
  readonly line?: number | undefined;
  /** The resource, when it is not the one the rules are run on. */
  readonly url?: string | undefined;
  /** A nearer clause than the rule's own. */
  readonly clause?: string | undefined;
}

/**
 * One rule, about one kind of view: a playlist, two successive ones, a response, a segment. It says nothing of a view
 * that it does not apply to.
 */
export interface Rule<View> {
  /** Stable name, `hls-…`. */
  readonly rule: string;
  readonly severity: Severity;
  readonly clause: string;
  readonly check: (view: View) => Iterable<Problem | string>;
}

/** Where findings about one resource go. */
export interface Sink {
  readonly log: FindingLog;
  /** The resource that is judged. */
  readonly url: string;
}

/** Runs every rule on a view. */
export function judge<View>(rules: readonly Rule<View>[], view: View, sink: Sink): void {
  for (const rule of rules) {
    for (const found of rule.check(view))
      tell(rule, typeof found === 'string' ? { message: found } : found, sink);
  }
}

/** Adds one finding of a rule that is judged by what happens, not by a view. */
export function tell(
  rule: Pick<Rule<never>, 'rule' | 'severity' | 'clause'>,
  problem: Problem,
  { log, url }: Sink,
): void {
  log.add({
    rule: rule.rule,
    severity: rule.severity,
    clause: problem.clause ?? rule.clause,
    message: problem.line === undefined ? problem.message : `line ${problem.line}: ${problem.message}`,
    url: problem.url ?? url,
  });
}

/** Clause of RFC 8216bis. */
export function rfc(section: string): string {
  return `RFC 8216bis ${section}`;
}

/** Rule of Apple's HLS authoring specification. */
export function apple(rule: string): string {
  return `Apple HLS authoring ${rule}`;
}

/** Seconds for messages: at most five decimals. */
export function say(seconds: number): string {
  return `${Number(seconds.toFixed(5))} s`;
}
