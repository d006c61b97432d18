/** A request target split at its first `?`; neither part is decoded or normalised. */
export interface RequestTarget {
  readonly path: string;
  readonly query: string;
}

const ABSOLUTE_FORM = /^https?:\/\/[^/?#]*/i;

/**
 * Splits the target of a request line. Absolute form loses its scheme and authority (RFC 9112 3.2.2), `*` stays
 * `*`. `undefined` when it is neither of these nor a path.
 */
export function splitTarget(target: string): RequestTarget | undefined {
  const origin = target.startsWith('/') ? target : fromOtherForm(target);
  if (origin === undefined || origin.includes('#')) return undefined;
  const mark = origin.indexOf('?');
  return mark < 0
    ? { path: origin, query: '' }
    : { path: origin.slice(0, mark), query: origin.slice(mark + 1) };
}

function fromOtherForm(target: string): string | undefined {
  if (target === '*') return target;
  const authority = ABSOLUTE_FORM.exec(target)?.[0];
  if (authority === undefined) return undefined;
  const rest = target.slice(authority.length);
  return rest.startsWith('/') ? rest : `/${rest}`;
}
