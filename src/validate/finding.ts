/**
 * `error`: breaks a MUST, or players. `warning`: breaks a SHOULD, or costs latency. `info`: is allowed, and good to
 * know when something else is looked for.
 */
export type Severity = 'error' | 'warning' | 'info';

const SEVERITIES: readonly Severity[] = ['error', 'warning', 'info'];

/** One thing that is wrong with a presentation. */
export interface Finding {
  /** Stable name of the rule, e.g. `hls-part-too-long`; one rule, one meaning. */
  readonly rule: string;
  readonly severity: Severity;
  /** Where the rule stands, e.g. `RFC 8216bis 4.4.4.9`. */
  readonly clause: string;
  /** What was seen and what it should have been, with the figures. */
  readonly message: string;
  /** The URL it was seen in. */
  readonly url: string;
}

/** A finding with how often its rule was broken in that resource; the first instance is told. */
export interface CountedFinding extends Finding {
  count: number;
}

/** A longer message is cut: what a manifest says may be part of it. */
const MAX_MESSAGE = 1000;
/** Resources told apart for one rule; more are counted under the last. */
const MAX_RESOURCES_PER_RULE = 20;

/** Gathers findings: a rule that is broken again and again in one playlist is told once, with a count. */
export class FindingLog {
  readonly #byKey = new Map<string, CountedFinding>();
  readonly #resources = new Map<string, number>();

  add(finding: Finding): void {
    const resources = this.#resources.get(finding.rule) ?? 0;
    const key = `${finding.rule} ${finding.url}`;
    const known =
      this.#byKey.get(key) ?? (resources >= MAX_RESOURCES_PER_RULE ? this.#last(finding) : undefined);
    if (known) {
      known.count += 1;
      return;
    }
    this.#resources.set(finding.rule, resources + 1);
    this.#byKey.set(key, { ...finding, message: clip(finding.message), count: 1 });
  }

  /** Errors first, infos last, each group in the order in which it was first seen. */
  get findings(): readonly CountedFinding[] {
    const all = [...this.#byKey.values()];
    return SEVERITIES.flatMap((severity) => all.filter((finding) => finding.severity === severity));
  }

  #last(finding: Finding): CountedFinding | undefined {
    return [...this.#byKey.values()].findLast(({ rule }) => rule === finding.rule);
  }
}

function clip(message: string): string {
  return message.length > MAX_MESSAGE ? `${message.slice(0, MAX_MESSAGE)}…` : message;
}
