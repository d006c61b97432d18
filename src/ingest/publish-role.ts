import type { PublishRole } from '../stream/publisher.ts';

/** What a publisher says of itself in the query behind its key: `role=backup`, else it is the primary. */
export function publishRole(query: string): PublishRole {
  return new URLSearchParams(query).get('role') === 'backup' ? 'backup' : 'primary';
}
