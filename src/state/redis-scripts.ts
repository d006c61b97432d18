import { LEASE_SCRIPTS } from './redis-lease-store.ts';
import { REGISTRY_SCRIPTS } from './redis-registry.ts';
import { RESUME_SCRIPTS } from './redis-resume-scripts.ts';
import { SESSION_SCRIPTS } from './redis-session-scripts.ts';

/** All scripts of the stores on Redis: what a connection for requests is opened with. */
export const REDIS_SCRIPTS = {
  ...RESUME_SCRIPTS,
  ...SESSION_SCRIPTS,
  ...LEASE_SCRIPTS,
  ...REGISTRY_SCRIPTS,
} as const;
