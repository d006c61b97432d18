import { LOG_LEVELS } from './base/log.ts';
import { deliverySections } from './config/delivery-sections.ts';
import { choice, integer, text } from './config/field.ts';
import { ingestSections } from './config/ingest-sections.ts';
import { protectionSections } from './config/protection-sections.ts';
import type { ConfigOf, Section } from './config/schema.ts';
import { stateSection } from './config/state-section.ts';
import { storageSection } from './config/storage-section.ts';
import { viewerSection } from './config/viewer-section.ts';
import { vodSection } from './config/vod-section.ts';

/** Every configuration key. docs/config.md, the environment names and the {@link Config} type all come from here. */
export const CONFIG_SCHEMA = {
  dataDir: text(
    './headwater-data',
    'Folder for publish keys, secrets and journals; made at first start (0700). Relative to the working directory.',
  ),
  log: {
    level: choice(
      LOG_LEVELS,
      'info',
      'Least important log line that is written; `error` means that a person must act.',
    ),
  },
  ...ingestSections,
  ...deliverySections,
  ...protectionSections,
  ...viewerSection,
  ...stateSection,
  ...storageSection,
  ...vodSection,
  shutdown: {
    drainMs: integer(
      30_000,
      { min: 0, max: 600_000 },
      'Time a stop waits for answers in progress before it cuts them.',
    ),
  },
} satisfies Section;

/** The whole configuration, frozen; every key is there. */
export type Config = ConfigOf<typeof CONFIG_SCHEMA>;

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1)$/;

/** True when only this machine can reach what listens on `address`. */
export function isLoopback(address: string): boolean {
  return LOOPBACK.test(address);
}
